#include "shared/base/args.h"
#include "shared/base/addr.h"
#include "shared/base/list.h"
#include "shared/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 64, OPTIONS_MAX = 128 };

struct parse {
    const char *program;
    const struct arg *table;
    size_t n;
    bool given[OPTIONS_MAX];
};

/* "trust-domain" is WEIR_TRUST_DOMAIN in the environment. */
static const char *environment_name(const struct arg *a, char out[static NAME_MAX_BYTES])
{
    struct text_out o = {out, 0, NAME_MAX_BYTES, false};
    text_puts(&o, "WEIR_");
    for (const char *c = a->name; *c; c++)
        text_putc(&o, *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    return out;
}

static const char *expected(const struct arg *a)
{
    switch (a->kind) {
    case ARG_FLAG:
        return "true or false";
    case ARG_U64:
        return "a whole number";
    case ARG_DURATION_MS:
        return "a duration (500ms, 10s, 5m, 24h, 2d)";
    case ARG_ADDR:
        return "an address and a port (1.2.3.4:80 or [::1]:80)";
    case ARG_STRING:
    case ARG_LIST:
        break;
    }
    return "a text";
}

/* Brackets are fine around both families: whoever has the address in a variable can't know. */
static int read_addr(struct text value, struct addr *ret)
{
    char plain[ADDR_TEXT_MAX];
    struct text head, host, port;
    int r = addr_parse(value, ret);
    if (r == 0 || !text_starts_with(value, TEXT("[")) || !text_split(value, ']', &host, &port) ||
        !text_split(host, '[', &head, &host) ||
        !text_starts_with(port, TEXT(":")))
        return r;
    struct text_out out = TEXT_OUT(plain);
    text_put(&out, host);
    text_put(&out, port);
    return out.overflow ? r : addr_parse((struct text){plain, out.len}, ret);
}

static void print_amount(FILE *to, const struct arg *a, uint64_t amount)
{
    fprintf(to, "%llu%s", (unsigned long long)amount, a->kind == ARG_DURATION_MS ? "ms" : "");
}

static void print_range(FILE *to, const struct arg *a)
{
    if ((a->kind != ARG_U64 && a->kind != ARG_DURATION_MS) || (a->min == 0 && a->max == 0))
        return;
    fputs(", at least ", to);
    print_amount(to, a, a->min);
    if (a->max > 0) {
        fputs(" and at most ", to);
        print_amount(to, a, a->max);
    }
}

static int bad_value(const struct parse *p, const struct arg *a, const char *source,
                     const char *value)
{
    fprintf(stderr, "%s: %s: \"%s\" is not %s", p->program, source, value, expected(a));
    print_range(stderr, a);
    fputc('\n', stderr);
    return -EINVAL;
}

static bool in_range(const struct arg *a, uint64_t value)
{
    return value >= a->min && (a->max == 0 || value <= a->max);
}

static int set_number(const struct arg *a, const char *value)
{
    uint64_t number;
    int r = a->kind == ARG_U64 ? text_to_u64(text_of(value), UINT64_MAX, &number)
                               : text_to_duration_ms(text_of(value), &number);
    if (r < 0 || !in_range(a, number))
        return -EINVAL;
    *(uint64_t *)a->value = number;
    return 0;
}

static int set_flag(const struct arg *a, const char *value)
{
    if (!strcmp(value, "true") || !strcmp(value, "1"))
        *(bool *)a->value = true;
    else if (!strcmp(value, "false") || !strcmp(value, "0"))
        *(bool *)a->value = false;
    else
        return -EINVAL;
    return 0;
}

static int add_item(const struct parse *p, const struct arg *a, const char *source,
                    const char *item)
{
    struct arg_list *list = a->value;
    if (list->n == ARRAY_SIZE(list->items)) {
        fprintf(stderr, "%s: %s: more than %zu values\n", p->program, source,
                ARRAY_SIZE(list->items));
        return -EINVAL;
    }
    list->items[list->n++] = item;
    return 0;
}

/* One variable of the environment gives all values, separated by commas. The copies live as long as
 * the program, like argv. */
static int add_items(const struct parse *p, const struct arg *a, const char *source,
                     const char *value)
{
    struct text item, rest = text_of(value);
    bool more = rest.len > 0;

    while (more) {
        more = text_split(rest, ',', &item, &rest);
        item = text_trim(more ? item : rest);
        if (item.len == 0)
            continue;
        char *copy = text_dup(item);
        if (!copy) {
            fprintf(stderr, "%s: %s: out of memory\n", p->program, source);
            return -EINVAL;
        }
        int r = add_item(p, a, source, copy);
        if (r < 0) {
            free(copy);
            return r;
        }
    }
    return 0;
}

/* A list's first value replaces those that it had as a default. */
static int set_value(struct parse *p, const struct arg *a, const char *source, const char *value,
                     bool environment)
{
    bool *given = &p->given[a - p->table], first = !*given;
    int r = 0;

    *given = true;
    switch (a->kind) {
    case ARG_FLAG:
        r = set_flag(a, value);
        break;
    case ARG_STRING:
        *(const char **)a->value = value;
        break;
    case ARG_U64:
    case ARG_DURATION_MS:
        r = set_number(a, value);
        break;
    case ARG_ADDR:
        r = read_addr(text_of(value), a->value);
        break;
    case ARG_LIST:
        if (first)
            ((struct arg_list *)a->value)->n = 0;
        return environment ? add_items(p, a, source, value) : add_item(p, a, source, value);
    }
    return r < 0 ? bad_value(p, a, source, value) : 0;
}

/* After the command line, which wins: what it gave is not even looked at here. */
static int read_environment(struct parse *p)
{
    char name[NAME_MAX_BYTES];

    for (size_t i = 0; i < p->n; i++) {
        const char *value = getenv(environment_name(&p->table[i], name));
        if (p->given[i] || !value || !*value)
            continue;
        int r = set_value(p, &p->table[i], name, value, true);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct arg *find_option(const struct parse *p, struct text name)
{
    for (size_t i = 0; i < p->n; i++)
        if (text_equal(name, text_of(p->table[i].name)))
            return &p->table[i];
    return NULL;
}

/* One option at argv[*at], which begins with a dash; *at is left at the last word that it used. */
static int read_option(struct parse *p, int argc, char **argv, int *at)
{
    const char *word = argv[*at], *value = NULL;
    struct text name = text_of(word), value_text;
    char source[NAME_MAX_BYTES];

    if (text_starts_with(name, TEXT("--"))) {
        name = (struct text){name.data + 2, name.len - 2};
        if (text_split(name, '=', &name, &value_text))
            value = value_text.data;
    } else {
        name.len = 0;
    }
    const struct arg *a = find_option(p, name);
    if (!a) {
        fprintf(stderr, "%s: %s: unknown option; --help lists those there are\n", p->program, word);
        return -EINVAL;
    }
    (void)snprintf(source, sizeof source, "--%s", a->name);
    if (!value && a->kind == ARG_FLAG) {
        value = "true";
    } else if (!value) {
        if (*at + 1 >= argc) {
            fprintf(stderr, "%s: %s: a value is missing: %s\n", p->program, source, expected(a));
            return -EINVAL;
        }
        value = argv[++*at];
    }
    return set_value(p, a, source, value, false);
}

static bool asks_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

static void print_help(const struct parse *p, const char *about, bool positional)
{
    char name[NAME_MAX_BYTES];

    printf("Usage: %s [OPTION]...%s\n%s\n\nOptions:\n", p->program,
           positional ? " [ARGUMENT]..." : "", about);
    for (size_t i = 0; i < p->n; i++) {
        const struct arg *a = &p->table[i];
        printf("  --%s", a->name);
        if (a->kind != ARG_FLAG)
            printf(" %s", a->value_name ? a->value_name : "VALUE");
        printf("\n      %s", a->help ? a->help : "");
        if (a->kind == ARG_LIST)
            fputs(" (may be given several times)", stdout);
        if (a->required)
            fputs(" (required)", stdout);
        printf("\n      in the environment: %s\n", environment_name(a, name));
    }
    puts("  --help\n      this text");
}

static int check_required(const struct parse *p)
{
    char name[NAME_MAX_BYTES];

    for (size_t i = 0; i < p->n; i++) {
        const struct arg *a = &p->table[i];
        if (a->required && !p->given[i]) {
            fprintf(stderr, "%s: --%s is required: %s (or %s in the environment)\n", p->program,
                    a->name, expected(a), environment_name(a, name));
            return -EINVAL;
        }
    }
    return 0;
}

int args_parse(const char *program, const char *about, const struct arg *table, size_t n, int argc,
               char **argv, int *ret_n_positional)
{
    struct parse p = {.program = program, .table = table, .n = n};
    bool options_ended = false;
    int n_positional = 0;

    if (n > OPTIONS_MAX)
        return -EINVAL;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (asks_help(argv[i])) {
            print_help(&p, about, ret_n_positional != NULL);
            return -ECANCELED;
        }
    }
    int r = 0;
    for (int i = 1; r == 0 && i < argc; i++) {
        if (!options_ended && !strcmp(argv[i], "--"))
            options_ended = true;
        else if (!options_ended && argv[i][0] == '-' && argv[i][1] != '\0')
            r = read_option(&p, argc, argv, &i);
        else if (!ret_n_positional) {
            fprintf(stderr, "%s: %s: unexpected; all arguments are options\n", program, argv[i]);
            r = -EINVAL;
        } else
            argv[n_positional++] = argv[i];
    }
    if (r == 0)
        r = read_environment(&p);
    if (r == 0)
        r = check_required(&p);
    if (r == 0 && ret_n_positional)
        *ret_n_positional = n_positional;
    return r;
}
