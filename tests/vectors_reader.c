/* Reads what `python -m reference vectors --out FOLDER` wrote, and holds `linear` and `philox_bits` against it: a port in miniature.

       cc vectors_reader.c -o vectors_reader -lm && ./vectors_reader FOLDER

   Exit code 0 if both are right, 1 with the case that is not.  For machines whose first byte is the lowest, as the files have it. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *header, *data;  /* of vectors.safetensors */

static char *contents(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) perror(path), exit(2);
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file);
    char *text = calloc(size + 1, 1);
    rewind(file);
    if (fread(text, 1, size, file) != size) perror(path), exit(2);
    fclose(file);
    return text;
}

/* What stands behind `"KEY": ` in a line, a quotation mark left out. */
static char *value(char *line, const char *key) {
    char quoted[64], *found;
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    if (!(found = strstr(line, quoted))) fprintf(stderr, "no %s in %s\n", key, line), exit(2);
    return found + strlen(quoted) + (found[strlen(quoted)] == '"');
}

/* Where the tensor CASE.PART begins, and its shape; NULL if there is none. */
static void *tensor(const char *name, const char *part, long shape[2]) {
    char quoted[128], *entry;
    snprintf(quoted, sizeof quoted, "\"%s.%s\":", name, part);
    if (!(entry = strstr(header, quoted))) return NULL;
    sscanf(strstr(entry, "\"shape\":"), "\"shape\":[%ld,%ld", &shape[0], &shape[1]);
    return data + atol(strstr(entry, "\"data_offsets\":[") + strlen("\"data_offsets\":["));
}

static double at(const void *array, long i, int wide) { return wide ? ((const double *)array)[i] : ((const float *)array)[i]; }

static int linear_is_right(char *line, const char *name) {
    long n[2], m[2], ignored[2], wide = strstr(name, "float64") != NULL;
    const void *x = tensor(name, "arguments.x", n), *w = tensor(name, "arguments.w", m), *b = tensor(name, "arguments.b", ignored);
    const double *exact = tensor(name, "results.y", ignored);
    char *bound = value(line, "largest entry");
    double squares = 0;
    for (long row = 0; row < n[0]; row++) {
        double most = strtod(bound + 1, &bound);
        for (long o = 0; o < m[1]; o++) {
            double y = b ? at(b, o, wide) : 0;
            for (long i = 0; i < n[1]; i++) y += at(x, row * n[1] + i, wide) * at(w, i * m[1] + o, wide);
            double error = fabs((wide ? y : (float)y) - exact[row * m[1] + o]);
            if (!(error <= most)) return 0;
            squares += error * error;
        }
    }
    return sqrt(squares / (n[0] * m[1])) <= strtod(value(line, "rms"), NULL);
}

static uint32_t word(uint64_t seed, uint32_t c[4], long which) {
    uint32_t k0 = seed, k1 = seed >> 32;
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
        uint64_t p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
        c[0] = (p1 >> 32) ^ c[1] ^ k0, c[1] = p1, c[2] = (p0 >> 32) ^ c[3] ^ k1, c[3] = p0;
    }
    return c[which];
}

static int philox_bits_are_right(char *line, const char *name) {
    long b[2], n[2];
    const int64_t *sample = tensor(name, "arguments.sample", b);
    const uint32_t *bits = tensor(name, "results.bits", n);
    uint64_t seed = strtoull(value(line, "seed"), NULL, 10);
    uint32_t step = strtoul(value(line, "step"), NULL, 10), purpose = strtoul(value(line, "purpose"), NULL, 10);
    for (long i = 0; i < n[0] * n[1]; i++) {
        long e = i % n[1];
        if (word(seed, (uint32_t[]){e / 4, sample[i / n[1]], step, purpose}, e % 4) != bits[i]) return 0;
    }
    return 1;
}

int main(int count, char **arguments) {
    if (count != 2) return fprintf(stderr, "usage: %s FOLDER\n", arguments[0]), 2;
    char *json = contents(arguments[1], "vectors.json"), *file = contents(arguments[1], "vectors.safetensors"), op[64], name[64];
    uint64_t length;
    int wrong = 0, checked = 0;
    memcpy(&length, file, 8);
    header = file + 8, data = header + length;
    data[-1] = 0;  /* the header's last brace, or a space behind it: an end for strstr */
    for (char *line = strtok(json, "\n"); line; line = strtok(NULL, "\n")) {
        if (sscanf(line, "{\"op\": \"%63[^\"]\", \"case\": \"%63[^\"]\"", op, name) != 2) continue;
        int right = !strcmp(op, "linear") ? linear_is_right(line, name) : !strcmp(op, "philox_bits") ? philox_bits_are_right(line, name) : -1;
        if (right == 0) printf("%s: %s is wrong\n", op, name);
        wrong += right == 0, checked += right >= 0;
    }
    printf("%d cases, %d wrong\n", checked, wrong);
    return wrong || !checked;
}
