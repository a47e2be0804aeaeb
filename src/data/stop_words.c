/* SPDX-License-Identifier: Apache-2.0 */
/* The most frequent function words of languages: a text in a language has some of them, a list of names or numbers has none.
 * English has those of Rae et al. 2021. */
#include "data/filters.h"
#include "text/text.h"

static const sc_stop_list lists[] = {
    {"en", SC_STOP_WORDS, "the be to of and that have with"},
    {"af", SC_STOP_WORDS, "die en van in is het wat vir te dat nie op met sy"},
    {"am", SC_STOP_WORDS, "ነው እና ላይ ውስጥ ነበር ወደ እንደ ግን ይህ ጋር"},
    {"ar", SC_STOP_WORDS, "في من على إلى أن التي الذي هذا عن مع ما هذه لا كان و"},
    {"az", SC_STOP_WORDS, "və bir bu ilə üçün də da olan kimi daha o ki"},
    {"be", SC_STOP_WORDS, "і у на з не што да як ад для гэта па"},
    {"bg", SC_STOP_WORDS, "на и в за да от се с по е не като"},
    {"bn", SC_STOP_WORDS, "এবং এই করে থেকে একটি হয় তার জন্য না ও সঙ্গে"},
    {"ca", SC_STOP_WORDS, "de la el i a que en les els per amb un una del"},
    {"cs", SC_STOP_WORDS, "a v se na je s že z do o i to které"},
    {"cy", SC_STOP_WORDS, "yn y a i o ar mae yr ei am bod gan"},
    {"da", SC_STOP_WORDS, "og i at det er en til på som af for med den"},
    {"de", SC_STOP_WORDS, "der die und in den von zu das mit sich des auf ist nicht"},
    {"el", SC_STOP_WORDS, "και το να του η της με που των από για στο τα"},
    {"eo", SC_STOP_WORDS, "la de kaj en al estas por ne ke el kun oni"},
    {"es", SC_STOP_WORDS, "de la que el en y a los se del las un por con"},
    {"et", SC_STOP_WORDS, "ja on ei et see oli kui ka oma ning või mis"},
    {"eu", SC_STOP_WORDS, "eta da ez du bat ere izan dira den zuen dute"},
    {"fa", SC_STOP_WORDS, "و در به از که این را با است برای آن یک"},
    {"fi", SC_STOP_WORDS, "ja on ei että se oli hän mutta ovat myös kun tai sen"},
    {"fr", SC_STOP_WORDS, "de la le et les des en un du une que est pour dans"},
    {"ga", SC_STOP_WORDS, "an agus a na ar i le go do bhí is sé"},
    {"gl", SC_STOP_WORDS, "de a e o que en do da un os para con unha"},
    {"gu", SC_STOP_WORDS, "અને છે આ એક માટે તે પર કે થી માં"},
    {"he", SC_STOP_WORDS, "של את על לא הוא עם זה גם היא אל כי או"},
    {"hi", SC_STOP_WORDS, "के में की है से को और का पर ने एक यह"},
    {"hr", SC_STOP_WORDS, "i u je na se da su za od s koji o"},
    {"hu", SC_STOP_WORDS, "a az és hogy nem is egy meg volt ez mint csak"},
    {"hy", SC_STOP_WORDS, "և է են որ ու մեջ համար այս որը մի հետ"},
    {"id", SC_STOP_WORDS, "yang dan di dari untuk ini dengan pada itu dalam tidak adalah"},
    {"is", SC_STOP_WORDS, "og í að á er sem til um við var það en"},
    {"it", SC_STOP_WORDS, "di e il la che in un per del è una con non della"},
    {"ja", SC_STOP_PARTS, "の に は を た が で て と し れ さ も です ます"},
    {"ka", SC_STOP_WORDS, "და რომ არ იყო ეს არის მისი როგორც ან თუ"},
    {"kk", SC_STOP_WORDS, "және мен бұл бір үшін да де бойынша болып деп"},
    {"km", SC_STOP_PARTS, "និង នៅ ជា ដែល បាន ក្នុង ការ មាន នេះ ពី"},
    {"kn", SC_STOP_WORDS, "ಮತ್ತು ಈ ಒಂದು ಎಂದು ಅವರು ಆ ಇದು ಅಥವಾ ಹಾಗೂ"},
    {"ko", SC_STOP_ENDINGS, "은 는 이 가 을 를 의 에 로 와 과 도 고 다 에서 하는"},
    {"lo", SC_STOP_PARTS, "ແລະ ທີ່ ໃນ ຂອງ ເປັນ ມີ ການ ໄດ້ ຈາກ"},
    {"lt", SC_STOP_WORDS, "ir į iš kad su yra ne tai kaip buvo apie bei"},
    {"lv", SC_STOP_WORDS, "un ir ar no par ka uz tas kas kā bet arī"},
    {"mk", SC_STOP_WORDS, "на и во од се да за со е ги не како"},
    {"ml", SC_STOP_WORDS, "ഒരു ഈ എന്ന ആണ് നിന്ന് എന്നാൽ കൂടി ആ അത് വേണ്ടി"},
    {"mn", SC_STOP_WORDS, "нь юм байна энэ болон бол нэг ба гэж байсан"},
    {"mr", SC_STOP_WORDS, "आणि आहे या व हा हे ते एक की मध्ये"},
    {"ms", SC_STOP_WORDS, "yang dan di untuk ini dengan pada dari itu dalam tidak ialah"},
    {"my", SC_STOP_PARTS, "သည် များ ၏ တွင် နှင့် က ကို မှ တစ် ဖြစ်"},
    {"nb", SC_STOP_WORDS, "og i det er på til en som for av med at ikke"},
    {"ne", SC_STOP_WORDS, "र को मा छ यो पनि एक लागि भने हो"},
    {"nl", SC_STOP_WORDS, "de van het een en in is dat op te met voor niet zijn"},
    {"nn", SC_STOP_WORDS, "og i det er på til ein som for av med at ikkje"},
    {"no", SC_STOP_WORDS, "og i det er på til en som for av med at ikke"},
    {"pa", SC_STOP_WORDS, "ਦੇ ਹੈ ਵਿੱਚ ਦੀ ਅਤੇ ਨੂੰ ਦਾ ਨੇ ਤੋਂ ਇਹ"},
    {"pl", SC_STOP_WORDS, "i w na z się nie do to że jest o jak"},
    {"pt", SC_STOP_WORDS, "de a e o que do da em um para com uma não os"},
    {"ro", SC_STOP_WORDS, "de și în a la cu care pe din nu că este o"},
    {"ru", SC_STOP_WORDS, "и в не на с что по как к из у это за"},
    {"sk", SC_STOP_WORDS, "a v sa na je s že z do o aj ktoré"},
    {"sl", SC_STOP_WORDS, "in je v na za se da so z pa ki tudi"},
    {"sq", SC_STOP_WORDS, "të e në dhe i për me një që se nga është"},
    {"sr", SC_STOP_WORDS, "и у је на се да су за од са који i u je na se da su za od sa koji"},
    {"sv", SC_STOP_WORDS, "och i att det som en på är av för med den till"},
    {"sw", SC_STOP_WORDS, "na ya wa kwa ni katika za la kuwa hii cha kama"},
    {"ta", SC_STOP_WORDS, "ஒரு மற்றும் இந்த என்று அது இது என்ற உள்ளது அவர் என"},
    {"te", SC_STOP_WORDS, "మరియు ఒక ఈ ఆ కూడా నుండి అని కు వారు ఉంది"},
    {"th", SC_STOP_PARTS, "ที่ และ ใน ของ เป็น มี การ ได้ จะ ไม่ ให้"},
    {"tl", SC_STOP_WORDS, "ang ng sa na mga at ay si ito para hindi"},
    {"tr", SC_STOP_WORDS, "ve bir bu için ile da de olarak daha çok gibi ne"},
    {"uk", SC_STOP_WORDS, "і в на що не з у та до як це за"},
    {"ur", SC_STOP_WORDS, "کے میں کی ہے سے اور کا کو پر نے یہ ایک"},
    {"uz", SC_STOP_WORDS, "va bu bilan uchun bir ham edi esa deb"},
    {"vi", SC_STOP_WORDS, "và của là có trong được các một cho không với những"},
    {"zh", SC_STOP_PARTS, "的 是 在 了 和 有 不 这 這 为 為 与 與 也 而 中"},
};

const sc_stop_list *sc_stop_words_at(int i) { return i >= 0 && i < SC_COUNT(lists) ? &lists[i] : NULL; }

const sc_stop_list *sc_stop_words(const char *language)
{
    for (int i = 0; i < SC_COUNT(lists); i++)
        if (!strcmp(lists[i].language, language)) return &lists[i];
    return NULL;
}

enum { MOST_WORDS = 32 };
typedef struct item {
    const char *p;
    int64_t n;
} item;

static int split(const sc_stop_list *list, item out[MOST_WORDS])
{
    int n = 0;
    for (const char *p = list->words; *p && n < MOST_WORDS;) {
        int64_t len = (int64_t)strcspn(p, " ");
        out[n++] = (item){p, len};
        p += len;
        p += *p == ' ';
    }
    return n;
}

int64_t sc_word_bare(const sc_words *w, const sc_text_word *word, char out[SC_BARE_WORD])
{
    int64_t n = 0, last = 0;
    if (word->n >= 2 * SC_BARE_WORD) return 0;
    for (int64_t i = word->at, end = i + word->n; i < end;) {
        uint32_t c;
        int len = sc_utf8_decode(w->p + i, end - i, &c);
        bool punct = w->classes[c] & SC_CHAR_PUNCT;
        i += len;
        if (punct && !n) continue;
        if (n + 4 > SC_BARE_WORD) return 0;
        uint32_t low[2];
        if (c < 0x80)
            out[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        else
            for (int k = 0, m = sc_uni_lower(c, low); k < m && n + 4 <= SC_BARE_WORD; k++)
                n += sc_utf8_encode(low[k], out + n);
        if (!punct) last = n;
    }
    return last;
}

void sc_words_put(const sc_words *w, sc_str *out)
{
    char word[SC_BARE_WORD];
    for (int64_t i = 0; i < w->words; i++) {
        int64_t n = sc_word_bare(w, &w->word[i], word);
        if (!n) continue;
        if (out->len && out->p[out->len - 1] != '\n') sc_str_putc(out, ' ');
        sc_str_append(out, word, n);
    }
}

static bool ends_with(const char *p, int64_t n, const item *e)
{
    return n > e->n && !memcmp(p + n - e->n, e->p, (size_t)e->n);
}

int sc_stop_count(const sc_words *w, const sc_stop_list *list, int enough)
{
    item stop[MOST_WORDS];
    bool seen[MOST_WORDS] = {false};
    int n = split(list, stop), count = 0;
    if (list->kind == SC_STOP_PARTS) {
        for (int k = 0; k < n && count < enough; k++)
            count += w->n > 0 && memmem(w->p, (size_t)w->n, stop[k].p, (size_t)stop[k].n) != NULL;
        return count;
    }
    for (int64_t i = 0; i < w->words && count < enough; i++) {
        char word[SC_BARE_WORD];
        int64_t len = sc_word_bare(w, &w->word[i], word);
        for (int k = 0; len && k < n; k++) {
            bool is = list->kind == SC_STOP_ENDINGS ? ends_with(word, len, &stop[k])
                                                    : len == stop[k].n && !memcmp(word, stop[k].p, (size_t)len);
            if (is && !seen[k]) {
                seen[k] = true;
                count++;
            }
        }
    }
    return count;
}
