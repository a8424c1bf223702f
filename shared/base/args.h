/*
 * The command line and the environment, into variables, by one table per program: `--name VALUE`,
 * `--name=VALUE` or WEIR_NAME in the environment (the command line wins; an empty variable counts
 * as none; a list's values are separated by commas there). An unknown option or a bad value is an
 * error that names the option, the value and what would be right. `--help` is made of the table.
 * Nothing is allocated but repeated strings.
 */
#ifndef SHARED_BASE_ARGS_H
#define SHARED_BASE_ARGS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arg_kind { ARG_FLAG, ARG_STRING, ARG_U64, ARG_DURATION_MS, ARG_ADDR, ARG_LIST };
struct arg_list { /* ARG_LIST: may be given several times */
    const char *items[32];
    size_t n;
};
struct arg {
    const char *name; /* without the dashes: "trust-domain" */
    enum arg_kind kind;
    void *value; /* bool, const char *, uint64_t, uint64_t, struct addr, struct arg_list */
    const char *value_name; /* for help: "DIR" */
    const char *help;
    uint64_t min, max; /* ARG_U64 and ARG_DURATION_MS; max 0: no limit */
    bool required;
};
/* Positional arguments are left in argv[0 .. *ret_n): argv is permuted, and argv[0], the program's
 * own name, is skipped. ret_n NULL: positional arguments are an error. Prints errors to stderr.
 * Returns 0; -EINVAL: the program should exit with 2; -ECANCELED: --help was printed, exit 0. */
int args_parse(const char *program, const char *about, const struct arg *table, size_t n, int argc,
               char **argv, int *ret_n_positional);
#endif
