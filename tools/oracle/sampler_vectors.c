/* Vectors for crates/engine/tests/sampler.rs: what llama.cpp's samplers keep of fixed logits, and
 * with which probabilities, in the order of crates/engine/src/sampler/mod.rs.
 *
 * build: LC is a checkout of llama.cpp, LIB the folder of its libllama.so
 *   gcc -O1 -I$LC/include -I$LC/ggml/include tools/oracle/sampler_vectors.c -o sampler_vectors \
 *       -L$LIB -Wl,-rpath,$LIB -Wl,--allow-shlib-undefined -lllama -lm
 * run:  any model or vocabulary in which token 13 is a line's end will do; DRY's breakers are
 *       texts and are looked up there
 *   ./sampler_vectors ggml-vocab-llama-spm.gguf > crates/engine/tests/data/sampler_vectors.txt
 *
 * logits    x = seed; for each token: x = x * 1664525 + 1013904223 mod 2^32,
 *           u = (x >> 8) / 2^24,  logit = (u - 0.5) * scale, all in f32;
 *           steep: logit = 0.05 / (u + 0.05) * scale, which falls with the rank much as text does
 * history   x = 7; 31 tokens of six, drawn so; then token i repeats token i - 31 but for every
 *           37th, which is another: long repeats, broken now and then
 * output    a line of settings for each case, only those that are on, then for each step
 *             > selected id:probability ...      in the order of the ids, probabilities 0 left out
 *           Steps after the first have seed + step; the token selected is accepted before them.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "llama.h"

#define HISTORY 400
#define MAX_VOCAB 1000

typedef struct {
    int vocab_size; uint32_t seed; float scale; int steep;
    int history, steps;
    float temperature; int top_k; float typical_p, top_p, min_p;
    float repeat, frequency, presence; int last_n;
    float dry; float dry_base; int dry_allowed; const char *breakers;
    int mirostat; float tau, eta;
} Case;

static const struct llama_vocab *vocab;

static uint32_t next(uint32_t *x) { return *x = *x * 1664525u + 1013904223u; }

static void fill_logits(float *out, const Case *c, uint32_t seed) {
    for (int i = 0; i < c->vocab_size; i++) {
        float u = (float)(next(&seed) >> 8) / 16777216.0f;
        out[i] = (c->steep ? 0.05f / (u + 0.05f) : u - 0.5f) * c->scale;
    }
}

static void fill_history(llama_token *out) {
    static const llama_token six[6] = {3, 5, 13, 21, 40, 63};
    uint32_t x = 7;
    for (int i = 0; i < HISTORY; i++) {
        llama_token random = six[(next(&x) >> 16) % 6];
        out[i] = i < 31 || i % 37 == 0 ? random : out[i - 31];
    }
}

static int by_id(const void *a, const void *b) {
    return ((const llama_token_data *)a)->id - ((const llama_token_data *)b)->id;
}

static int by_logit(const void *a, const void *b) {
    float x = ((const llama_token_data *)a)->logit, y = ((const llama_token_data *)b)->logit;
    return (x > y) - (x < y);
}

static void check_no_ties(const llama_token_data *data, int n) {
    static llama_token_data copy[MAX_VOCAB];
    memcpy(copy, data, n * sizeof *data);
    qsort(copy, n, sizeof *copy, by_logit);
    for (int i = 1; i < n; i++) {
        if (copy[i].logit == copy[i - 1].logit) {
            fprintf(stderr, "two logits are equal: choose another seed\n");
            exit(1);
        }
    }
}

static void print_settings(const Case *c) {
    printf("vocab_size=%d seed=%u scale=%g history=%d", c->vocab_size, c->seed, c->scale,
           c->history);
    if (c->steep) printf(" steep=1");
    if (c->temperature) printf(" temperature=%g", c->temperature);
    if (c->top_k) printf(" top_k=%d", c->top_k);
    if (c->typical_p) printf(" typical_p=%g", c->typical_p);
    if (c->top_p) printf(" top_p=%g", c->top_p);
    if (c->min_p) printf(" min_p=%g", c->min_p);
    if (c->repeat) printf(" repeat_penalty=%g", c->repeat);
    if (c->frequency) printf(" frequency_penalty=%g", c->frequency);
    if (c->presence) printf(" presence_penalty=%g", c->presence);
    if (c->last_n) printf(" repeat_last_n=%d", c->last_n);
    if (c->dry) printf(" dry_multiplier=%g dry_base=%g dry_allowed_length=%d", c->dry, c->dry_base,
                       c->dry_allowed);
    if (c->mirostat) printf(" mirostat=%d mirostat_tau=%g mirostat_eta=%g", c->mirostat, c->tau,
                            c->eta);
    for (int id = 0; c->breakers && id < c->vocab_size; id++) {
        char piece[64] = {0};
        int n = llama_token_to_piece(vocab, id, piece, sizeof piece - 1, 0, true);
        if (n > 0 && memchr(piece, c->breakers[0], n)) printf(" breaker=%d", id);
    }
    printf("\n");
}

static struct llama_sampler *chain_of(const Case *c) {
    struct llama_sampler *chain = llama_sampler_chain_init(llama_sampler_chain_default_params());
    float repeat = c->repeat ? c->repeat : 1.0f;
    llama_sampler_chain_add(chain, llama_sampler_init_penalties(
        c->vocab_size, c->last_n ? c->last_n : 64, repeat, c->frequency, c->presence));
    if (c->dry) {
        const char *breakers[1] = {c->breakers};
        llama_sampler_chain_add(chain, llama_sampler_init_dry(
            vocab, c->dry, c->dry_base, c->dry_allowed, 4096, breakers, c->breakers ? 1 : 0));
    }
    llama_sampler_chain_add(chain, llama_sampler_init_temp(c->temperature ? c->temperature : 1.0f));
    if (c->mirostat == 1) {
        llama_sampler_chain_add(chain, llama_sampler_init_mirostat(
            c->vocab_size, 42, c->tau, c->eta, 100));
    } else if (c->mirostat == 2) {
        llama_sampler_chain_add(chain, llama_sampler_init_mirostat_v2(42, c->tau, c->eta));
    } else {
        if (c->top_k) llama_sampler_chain_add(chain, llama_sampler_init_top_k(c->top_k));
        if (c->typical_p) {
            llama_sampler_chain_add(chain, llama_sampler_init_typical(c->typical_p, 0));
        }
        if (c->top_p) llama_sampler_chain_add(chain, llama_sampler_init_top_p(c->top_p, 0));
        if (c->min_p) llama_sampler_chain_add(chain, llama_sampler_init_min_p(c->min_p, 0));
        llama_sampler_chain_add(chain, llama_sampler_init_dist(42));
    }
    return chain;
}

static void run(const Case *c) {
    static llama_token history[HISTORY];
    static llama_token_data data[MAX_VOCAB];
    static float logits[MAX_VOCAB];
    struct llama_sampler *chain = chain_of(c);
    print_settings(c);
    fill_history(history);
    for (int i = 0; i < c->history; i++) llama_sampler_accept(chain, history[i]);
    for (int step = 0; step < (c->steps ? c->steps : 1); step++) {
        fill_logits(logits, c, c->seed + step);
        for (int i = 0; i < c->vocab_size; i++) data[i] = (llama_token_data){i, logits[i], 0.0f};
        check_no_ties(data, c->vocab_size);
        llama_token_data_array array = {data, c->vocab_size, -1, false};
        llama_sampler_apply(chain, &array);
        llama_token selected = array.data[array.selected].id;
        qsort(array.data, array.size, sizeof *array.data, by_id);
        printf("> %d", selected);
        for (size_t i = 0; i < array.size; i++) {
            if (array.data[i].p > 0) printf(" %d:%.8g", array.data[i].id, array.data[i].p);
        }
        printf("\n");
        llama_sampler_accept(chain, selected);
    }
    llama_sampler_free(chain);
}

#define SMALL_FLAT .vocab_size = 64, .seed = 1, .scale = 4
#define SMALL_PEAKED .vocab_size = 64, .seed = 2, .scale = 20
#define LARGE_FLAT .vocab_size = 1000, .seed = 3, .scale = 8
#define LARGE_PEAKED .vocab_size = 1000, .seed = 4, .scale = 60
#define LARGE_STEEP .vocab_size = 1000, .seed = 5, .scale = 9, .steep = 1
/* Keeps all of the small vocabularies. */
#define ALL .top_k = 64
#define DRY(multiplier, base, allowed) .dry = multiplier, .dry_base = base, .dry_allowed = allowed
#define MIROSTAT(version, t, e) .mirostat = version, .tau = t, .eta = e

static const Case cases[] = {
    /* Temperature and filters, each alone. */
    {SMALL_FLAT, ALL}, {SMALL_PEAKED, ALL},
    {SMALL_FLAT, ALL, .temperature = 0.5f}, {SMALL_PEAKED, ALL, .temperature = 2.5f},
    {SMALL_FLAT, .top_k = 1}, {SMALL_FLAT, .top_k = 10}, {LARGE_FLAT, .top_k = 40},
    {LARGE_PEAKED, .top_k = 40}, {LARGE_FLAT, .top_k = 150},
    {SMALL_FLAT, .top_p = 0.5f}, {SMALL_FLAT, .top_p = 0.9f}, {SMALL_PEAKED, .top_p = 0.9f},
    {LARGE_FLAT, .top_p = 0.3f}, {LARGE_PEAKED, .top_p = 0.95f}, {LARGE_PEAKED, .top_p = 0.999f},
    {SMALL_FLAT, .min_p = 0.1f}, {SMALL_FLAT, .min_p = 1}, {SMALL_PEAKED, .min_p = 0.05f},
    {LARGE_FLAT, .min_p = 0.5f}, {LARGE_PEAKED, .min_p = 0.001f},
    {SMALL_FLAT, .typical_p = 0.2f}, {SMALL_FLAT, .typical_p = 0.9f},
    {SMALL_PEAKED, .typical_p = 0.5f}, {SMALL_PEAKED, .typical_p = 0.95f},
    {LARGE_FLAT, .typical_p = 0.1f}, {LARGE_FLAT, .typical_p = 0.2f},
    {LARGE_PEAKED, .typical_p = 0.9f}, {LARGE_PEAKED, .typical_p = 0.2f},
    /* Filters together. */
    {SMALL_FLAT, .top_k = 20, .top_p = 0.8f}, {LARGE_FLAT, .top_k = 100, .top_p = 0.5f},
    {LARGE_FLAT, .top_k = 40, .top_p = 0.95f, .min_p = 0.6f},
    {LARGE_PEAKED, .temperature = 3, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f},
    {LARGE_FLAT, .temperature = 0.7f, .top_k = 80, .typical_p = 0.8f},
    {LARGE_FLAT, .temperature = 0.7f, .typical_p = 0.3f, .top_p = 0.6f},
    {SMALL_FLAT, .typical_p = 0.7f, .min_p = 0.3f},
    {LARGE_FLAT, .top_k = 120, .typical_p = 0.9f, .top_p = 0.9f, .min_p = 0.4f},
    {SMALL_PEAKED, .temperature = 1.5f, .typical_p = 0.9f, .top_p = 0.9f, .min_p = 0.02f},
    {LARGE_FLAT, .temperature = 0.5f, .top_p = 0.5f, .min_p = 0.4f},
    /* Penalties. */
    {SMALL_FLAT, ALL, .history = 50, .repeat = 1.3f},
    {SMALL_PEAKED, ALL, .history = 200, .repeat = 1.1f, .last_n = 5},
    {SMALL_FLAT, ALL, .history = 50, .frequency = 0.1f},
    {SMALL_FLAT, ALL, .history = 200, .frequency = 0.02f, .last_n = 150},
    {SMALL_FLAT, ALL, .history = 50, .frequency = -0.1f, .last_n = 20},
    {SMALL_FLAT, ALL, .history = 50, .presence = 0.7f}, {SMALL_FLAT, ALL, .presence = 0.7f},
    {SMALL_FLAT, ALL, .history = 3, .presence = -0.7f, .last_n = 2},
    {SMALL_PEAKED, ALL, .history = 200, .repeat = 1.2f, .frequency = 0.05f, .presence = 0.4f},
    {LARGE_FLAT, .history = 100, .top_k = 60, .repeat = 1.2f, .frequency = -0.2f, .presence = 0.4f},
    /* DRY. */
    {SMALL_FLAT, ALL, .history = 200, DRY(0.8f, 1.75f, 2)},
    {SMALL_FLAT, ALL, .history = 200, DRY(0.01f, 1.1f, 2)},
    {SMALL_FLAT, ALL, .history = 333, DRY(0.05f, 1.05f, 1)},
    {SMALL_FLAT, ALL, .history = 400, DRY(0.05f, 1.05f, 0)},
    {SMALL_FLAT, ALL, .history = 400, DRY(0.05f, 1, 2)},
    {SMALL_FLAT, ALL, .history = 371, DRY(0.2f, 1.02f, 3)},
    {SMALL_FLAT, ALL, .history = 2, DRY(0.8f, 1.75f, 2)},
    {SMALL_FLAT, ALL, .history = 44, DRY(0.3f, 1.2f, 2)},
    {SMALL_FLAT, ALL, .history = 201, DRY(0.1f, 1.2f, 1), .breakers = "\n"},
    {SMALL_FLAT, ALL, .history = 205, DRY(0.1f, 1.2f, 1), .breakers = "\n"},
    {SMALL_FLAT, ALL, .history = 209, DRY(0.1f, 1.2f, 0), .breakers = "\n"},
    {SMALL_FLAT, ALL, .history = 213, DRY(0.1f, 1.2f, 2), .breakers = "\n"},
    {LARGE_FLAT, .top_k = 60, .history = 390, DRY(0.1f, 1.2f, 1), .breakers = "z"},
    /* Mirostat. */
    {SMALL_FLAT, .steps = 6, MIROSTAT(1, 3, 0.3f)},
    {SMALL_PEAKED, .steps = 6, MIROSTAT(1, 1, 0.5f)},
    {LARGE_STEEP, .steps = 6, MIROSTAT(1, 2, 0.2f)},
    {LARGE_STEEP, .steps = 6, MIROSTAT(1, 3, 0.1f)},
    {LARGE_STEEP, .steps = 6, .temperature = 0.8f, MIROSTAT(1, 3, 0.5f)},
    {SMALL_FLAT, .steps = 6, MIROSTAT(2, 2.5f, 0.2f)},
    {SMALL_PEAKED, .steps = 6, MIROSTAT(2, 1, 0.3f)},
    {LARGE_FLAT, .steps = 6, MIROSTAT(2, 3.7f, 0.1f)},
    {LARGE_STEEP, .steps = 6, MIROSTAT(2, 3, 0.2f)},
    {LARGE_PEAKED, .steps = 6, .temperature = 4, MIROSTAT(2, 2, 0.9f)},
    {LARGE_FLAT, .steps = 4, MIROSTAT(2, 0.5f, 1)},
    /* Everything. */
    {SMALL_FLAT, .steps = 4, .history = 200, .temperature = 0.8f, .top_k = 30, .typical_p = 0.95f,
     .top_p = 0.9f, .min_p = 0.05f, .repeat = 1.1f, .frequency = 0.05f, .presence = 0.1f,
     DRY(0.8f, 1.75f, 2), .breakers = "\n"},
    {SMALL_FLAT, .steps = 4, .history = 200, .temperature = 0.8f, .repeat = 1.1f,
     .frequency = 0.05f, .presence = 0.1f, DRY(0.8f, 1.1f, 1), MIROSTAT(2, 3, 0.2f)},
};

static void quiet(enum ggml_log_level level, const char *text, void *user) {
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
    (void)user;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s VOCABULARY.gguf\n", argv[0]);
        return 1;
    }
    llama_log_set(quiet, NULL);
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    struct llama_model *model = llama_model_load_from_file(argv[1], params);
    if (!model) return 1;
    vocab = llama_model_get_vocab(model);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) run(&cases[i]);
    llama_model_free(model);
    return 0;
}
