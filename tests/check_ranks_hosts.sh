#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ranks that reach each other by addresses alone: two network namespaces with a cable between them stand for two machines.
# Needs root, ip and unshare, and Open MPI.
set -u
socle=$(readlink -f "${SOCLE:?run by ctest}")
root=${SOCLE_SOURCE_DIR:?run by ctest}
skip() { echo "skipped: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "not root"
for tool in ip unshare mpirun; do command -v $tool >/dev/null || skip "no $tool here"; done
"$socle" version | grep -q 'Open MPI' || skip "built without MPI"
a=socle-a-$$ b=socle-b-$$
net=10.213.$(($$ % 250)).
tmp=$(mktemp -d)
cleanup() {
    ip netns del $a 2>/dev/null
    ip netns del $b 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
ip netns add $a 2>/dev/null && ip netns add $b 2>/dev/null || skip "no network namespaces may be made here"
ip link add va$$ netns $a type veth peer name vb$$ netns $b 2>/dev/null || skip "no veth pair may be made here"
ip -n $a addr add ${net}1/24 dev va$$ && ip -n $b addr add ${net}2/24 dev vb$$ || exit 1
for side in "$a va$$" "$b vb$$"; do
    set -- $side
    ip -n $1 link set lo up && ip -n $1 link set $2 up || exit 1
done

# What mpirun calls instead of ssh: ADDRESS COMMAND…; each machine has a name of its own.
cat >"$tmp/agent" <<END
#!/bin/sh
case \$1 in ${net}1) name=$a ;; *) name=$b ;; esac
shift
exec ip netns exec \$name unshare --uts sh -c "hostname \$name; \$*"
END
chmod +x "$tmp/agent"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR=/tmp
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
across() {
    "$tmp/agent" ${net}1 timeout 120 mpirun --mca plm_rsh_agent "$tmp/agent" --mca plm_rsh_no_tree_spawn 1 \
        --mca btl tcp,self --mca btl_tcp_if_include ${net}0/24 --mca oob_tcp_if_include ${net}0/24 \
        --host ${net}1:1,${net}2:1 -n 2 -x ASAN_OPTIONS "$@"
}
for ((i = 0; i < 600; i++)); do echo "one two three $((i * i % 97)), one two $((i % 7))."; done >"$tmp/data.txt"
model=$root/tests/data/chat_model
settings="--config $model --tokenizer $model --data $tmp/data.txt --batch 8 --length 24 --lr 1e-2 --steps 20 --log-every 1 --quiet"
across hostname >"$tmp/names" 2>"$tmp/err" || { cat "$tmp/err"; echo "FAIL: mpirun does not reach the other namespace"; exit 1; }
[ "$(sort "$tmp/names")" = "$(printf '%s\n' $a $b | sort)" ] || { echo "FAIL: ran on $(cat "$tmp/names")"; exit 1; }
"$socle" train $settings --out "$tmp/one" || exit 1
sent() { ip -n $a -s link show va$$ | awk '/TX:/ {getline; print $1}'; }
before=$(sent)
across "$socle" train $settings --out "$tmp/two" || { echo "FAIL: two hosts"; exit 1; }
bytes=$(($(sent) - before))
parameters=$(wc -c <"$tmp/one/model.safetensors")
echo "sent over the cable: $bytes bytes in 20 steps of a model of $parameters"
[ "$bytes" -gt $((parameters * 10)) ] || { echo "FAIL: the gradients did not go over the cable"; exit 1; }
python3 - "$tmp/one/metrics.jsonl" "$tmp/two/metrics.jsonl" <<'END'
import json, sys
a, b = ([json.loads(x) for x in open(p)] for p in sys.argv[1:])
worst = max(abs(x["loss"] - y["loss"]) / x["loss"] for x, y in zip(a, b))
print(f"{len(a)} and {len(b)} steps, largest relative difference of the loss {worst:.1e}")
sys.exit(0 if len(a) == len(b) == 20 and worst <= 1e-4 else 1)
END
[ $? = 0 ] || { echo "FAIL: another curve"; exit 1; }

# The other host's rank is lost.
rm -rf "$tmp/lost"
across "$socle" train $settings --steps 1000000 --save-every 10 --out "$tmp/lost" 2>"$tmp/err" &
job=$!
for ((i = 0; i < 600; i++)); do [ -d "$tmp/lost/checkpoint-20" ] && break; sleep 0.1; done
for pid in $(ip netns pids $b); do
    [ "$(readlink /proc/$pid/exe)" = "$socle" ] && kill -9 $pid
done
SECONDS=0
wait $job && { echo "FAIL: a run that lost a rank ends well"; exit 1; }
echo "the other host's rank killed: ended after $SECONDS s: $(grep '^socle: ' "$tmp/err")"
ls -d "$tmp"/lost/checkpoint-* >/dev/null || { echo "FAIL: no checkpoint is left"; exit 1; }
across "$socle" train $settings --steps 1000000 --save-every 10 --out "$tmp/lost" --resume 2>"$tmp/err" &
job=$!
sleep 4
kill -0 $job || { cat "$tmp/err"; echo "FAIL: does not go on"; exit 1; }
kill -INT $(pgrep -P $job mpirun || pgrep -f "mpirun.*$tmp/agent.*$tmp/lost" | head -1) 2>/dev/null
wait $job
exit 0
