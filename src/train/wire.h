/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between ranks, over MPI. Used by one thread, the one that opened it. */
#ifndef SC_TRAIN_WIRE_H
#define SC_TRAIN_WIRE_H

#include "base/base.h"

typedef struct sc_wire sc_wire;
#define SC_WIRE_TEXT 512

/* SC_EUNSUPPORTED: built without MPI, or its library is not there. */
sc_status sc_wire_open(sc_wire **out, int *rank, int *count);
/* clean: all ranks come here, with nothing under way; else whatever is under way is left. */
void sc_wire_close(sc_wire *w, bool clean);
/* Begin to send and to receive; the memory is the wire's until everything that was begun is done. Messages between two
 * ranks are received in the order in which they were sent. */
sc_status sc_wire_send(sc_wire *w, int to, const void *data, int64_t bytes);
sc_status sc_wire_receive(sc_wire *w, int from, void *data, int64_t bytes);
/* *done: whether all that was begun is done. Moves things along. */
sc_status sc_wire_poll(sc_wire *w, bool *done);
/* How many may be begun before they are done. */
enum { SC_WIRE_MOST = 256 };

/* A rank's last word, outside of all order. */
sc_status sc_wire_cry(sc_wire *w, int to, const char text[SC_WIRE_TEXT]);
/* Whether there was one, of which rank. */
bool sc_wire_heard(sc_wire *w, int *from, char text[SC_WIRE_TEXT]);

#endif
