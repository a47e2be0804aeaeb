/* SPDX-License-Identifier: Apache-2.0 */
/* Names, spelled in both alphabets. */
#include "world/world.h"

#include <stdio.h>

typedef struct spelling {
    const char *en, *ko;
} spelling;

static const spelling korean_families[] = {
    {"Kim", "김"},  {"Lee", "이"},   {"Park", "박"}, {"Choi", "최"}, {"Jung", "정"}, {"Kang", "강"}, {"Cho", "조"},
    {"Yoon", "윤"}, {"Jang", "장"},  {"Lim", "임"},  {"Han", "한"},  {"Oh", "오"},   {"Seo", "서"},  {"Shin", "신"},
    {"Kwon", "권"}, {"Hwang", "황"}, {"Ahn", "안"},  {"Song", "송"}, {"Ryu", "류"},  {"Hong", "홍"},
};
static const spelling korean_first[] = {
    {"Min", "민"}, {"Seo", "서"}, {"Ji", "지"},    {"Ha", "하"},   {"Do", "도"},   {"Ye", "예"},  {"Ju", "주"},
    {"Yu", "유"},  {"Su", "수"},  {"Hyun", "현"},  {"Jae", "재"},  {"Eun", "은"},  {"Tae", "태"}, {"Na", "나"},
    {"Da", "다"},  {"So", "소"},  {"Young", "영"}, {"Sung", "성"}, {"Chae", "채"}, {"Gun", "건"},
};
static const spelling korean_second[2][12] = {
    {{"jun", "준"},
     {"ho", "호"},
     {"woo", "우"},
     {"hyuk", "혁"},
     {"min", "민"},
     {"seok", "석"},
     {"hwan", "환"},
     {"ki", "기"},
     {"hun", "훈"},
     {"gyu", "규"},
     {"sik", "식"},
     {"beom", "범"}},
    {{"yeon", "연"},
     {"eun", "은"},
     {"ah", "아"},
     {"na", "나"},
     {"hee", "희"},
     {"jin", "진"},
     {"won", "원"},
     {"yun", "윤"},
     {"rin", "린"},
     {"young", "영"},
     {"mi", "미"},
     {"bin", "빈"}},
};
static const spelling western[2][24] = {
    {{"Oliver", "올리버"}, {"Noah", "노아"},     {"Leo", "레오"},     {"Henry", "헨리"},   {"Oscar", "오스카"},
     {"Felix", "펠릭스"},  {"Hugo", "휴고"},     {"Martin", "마틴"},  {"Simon", "사이먼"}, {"Peter", "피터"},
     {"Victor", "빅터"},   {"Thomas", "토머스"}, {"Lucas", "루카스"}, {"Adam", "애덤"},    {"Daniel", "대니얼"},
     {"Samuel", "새뮤얼"}, {"Albert", "앨버트"}, {"Robin", "로빈"},   {"Edgar", "에드거"}, {"Paul", "폴"},
     {"Ivan", "이반"},     {"Jasper", "재스퍼"}, {"Toby", "토비"},    {"Walter", "월터"}},
    {{"Emma", "에마"},       {"Alice", "앨리스"},   {"Clara", "클라라"},   {"Nora", "노라"},
     {"Lucy", "루시"},       {"Hannah", "해나"},    {"Ruth", "루스"},      {"Ellen", "엘렌"},
     {"Julia", "줄리아"},    {"Marion", "매리언"},  {"Sophie", "소피"},    {"Irene", "아이린"},
     {"Vera", "베라"},       {"Helen", "헬렌"},     {"Agnes", "애그니스"}, {"Diana", "다이애나"},
     {"Rachel", "레이철"},   {"Grace", "그레이스"}, {"Olga", "올가"},      {"Flora", "플로라"},
     {"Ingrid", "잉그리드"}, {"Mabel", "메이블"},   {"Carol", "캐럴"},     {"Astrid", "아스트리드"}},
};
static const spelling western_families[] = {
    {"Hill", "힐"},      {"Baker", "베이커"},  {"Stone", "스톤"},  {"Reed", "리드"},     {"Marsh", "마시"},
    {"Winter", "윈터"},  {"Lane", "레인"},     {"Fisher", "피셔"}, {"Brook", "브룩"},    {"Carter", "카터"},
    {"Wells", "웰스"},   {"Holm", "홀름"},     {"Porter", "포터"}, {"Vale", "베일"},     {"Moss", "모스"},
    {"Hunter", "헌터"},  {"Field", "필드"},    {"Archer", "아처"}, {"Lund", "룬드"},     {"Falk", "팔크"},
    {"Mason", "메이슨"}, {"Turner", "터너"},   {"Berg", "베르그"}, {"Novak", "노바크"},  {"Silva", "실바"},
    {"Keller", "켈러"},  {"Moreno", "모레노"}, {"Rossi", "로시"},  {"Dubois", "뒤부아"}, {"Tanner", "태너"},
};
static const spelling pets[] = {
    {"Bori", "보리"},   {"Dubu", "두부"},    {"Kongi", "콩이"},  {"Biscuit", "비스킷"}, {"Pepper", "페퍼"},
    {"Shadow", "섀도"}, {"Mango", "망고"},   {"Cloud", "구름"},  {"Star", "별이"},      {"Nabi", "나비"},
    {"Choco", "초코"},  {"Lucky", "럭키"},   {"Button", "버튼"}, {"Dori", "도리"},      {"Max", "맥스"},
    {"Momo", "모모"},   {"Pudding", "푸딩"}, {"Ginger", "진저"}, {"Toto", "토토"},      {"Bamtol", "밤톨"},
};

#define ANY(list) (&(list)[sc_below(d, SC_COUNT(list))])

void sc_given_name(sc_draft *d, bool is_korean, bool female, char out[SC_TONGUES][SC_NAME_BYTES])
{
    if (!is_korean) {
        const spelling *s = ANY(western[female]);
        snprintf(out[SC_EN], SC_NAME_BYTES, "%s", s->en);
        snprintf(out[SC_KO], SC_NAME_BYTES, "%s", s->ko);
        return;
    }
    const spelling *a = ANY(korean_first), *b = ANY(korean_second[female]);
    while (strcmp(a->ko, b->ko) == 0) b = ANY(korean_second[female]);
    snprintf(out[SC_EN], SC_NAME_BYTES, "%s%s", a->en, b->en);
    snprintf(out[SC_KO], SC_NAME_BYTES, "%s%s", a->ko, b->ko);
}

void sc_pet_name(sc_draft *d, sc_name *out)
{
    const spelling *s = ANY(pets);
    *out = (sc_name){{s->en, s->ko}};
}

/* ---- made names, of syllables whose Hangul is computed ---- */

static const struct {
    const char *en;
    int index; /* among the 19 first consonants of Hangul, in Unicode's order */
} onsets[] = {{"b", 7},  {"d", 3}, {"g", 0}, {"h", 18}, {"k", 15}, {"l", 5}, {"m", 6}, {"n", 2},
              {"p", 17}, {"r", 5}, {"s", 9}, {"t", 16}, {"j", 12}, {"v", 7}, {"", 11}};
static const struct {
    const char *en;
    int index; /* among the 21 vowels */
} vowels[] = {{"a", 0}, {"e", 5}, {"i", 20}, {"o", 8}, {"u", 13}};
static const struct {
    const char *en;
    int index; /* among the 28 last consonants, 0 none */
} codas[] = {{"", 0}, {"", 0}, {"", 0}, {"n", 4}, {"m", 16}, {"l", 8}, {"ng", 21}, {"r", 8}};

void sc_made_name(sc_draft *d, int syllables, char out[SC_TONGUES][SC_NAME_BYTES])
{
    sc_str en = {0}, ko = {0};
    for (int i = 0; i < syllables; i++) {
        /* A syllable without a first consonant stands at the beginning alone, and one that ends with a consonant at the
         * end alone or before another: so the letters can be read in one way. */
        int on = (int)sc_below(d, i ? SC_COUNT(onsets) - 1 : SC_COUNT(onsets));
        int v = (int)sc_below(d, SC_COUNT(vowels)), c = (int)sc_below(d, SC_COUNT(codas));
        sc_str_printf(&en, "%s%s%s", onsets[on].en, vowels[v].en, codas[c].en);
        sc_str_utf8(&ko, (uint32_t)(0xac00 + (onsets[on].index * 21 + vowels[v].index) * 28 + codas[c].index));
    }
    d->text.oom |= en.oom || ko.oom;
    if (en.p) en.p[0] = (char)(en.p[0] - 32);
    snprintf(out[SC_EN], SC_NAME_BYTES, "%s", en.p ? en.p : "");
    snprintf(out[SC_KO], SC_NAME_BYTES, "%s", ko.p ? ko.p : "");
    sc_str_free(&en);
    sc_str_free(&ko);
}

void sc_family_name(sc_draft *d, bool is_korean, char out[SC_TONGUES][SC_NAME_BYTES])
{
    if (!is_korean && sc_chance(d, 2)) { /* those of the list alone would not do for all families */
        sc_made_name(d, 2, out);
        return;
    }
    const spelling *s = is_korean ? ANY(korean_families) : ANY(western_families);
    snprintf(out[SC_EN], SC_NAME_BYTES, "%s", s->en);
    snprintf(out[SC_KO], SC_NAME_BYTES, "%s", s->ko);
}
