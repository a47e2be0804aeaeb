/* SPDX-License-Identifier: Apache-2.0 */
/* The regular expressions that many tokenizers cut text by, and the parts they are made of. What they match is also found by hand
 * (scan.c), which knows them by the whole pattern: they are written once, here. */
#ifndef SC_TEXT_PATTERNS_H
#define SC_TEXT_PATTERNS_H

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define BEFORE       "[^\\r\\n\\p{L}\\p{N}]?" /* what a word takes along */
#define WORDS        BEFORE "\\p{L}+"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define PUNCT_SPACE  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define PUNCT_SLASH  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* Spaces that end the text stay one piece, even over line ends. */
#define CL100K_PATTERN                                                                                             \
    "'(?i:[sdmt]|ll|ve|re)|" WORDS                                                                                 \
    "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"
#define LLAMA3_PATTERN CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" PUNCT_SPACE
#define QWEN2_PATTERN  CONTRACTIONS "|" WORDS "|\\p{N}" PUNCT_SPACE
#define O200K_PATTERN                                                                                              \
    BEFORE UPPER "*" LOWER "+" CONTRACTIONS "?|" BEFORE UPPER "+" LOWER "*" CONTRACTIONS "?|\\p{N}{1,"             \
                                                                                         "3}" PUNCT_SLASH

#endif
