/* `weir-ca passphrase`: how the keys in the state are encrypted. */
#include "ca/command.h"

#include "ca/seal.h"
#include "shared/base/args.h"
#include "shared/base/list.h"
#include "shared/tls/secret.h"
#include <errno.h>
#include <stdio.h>

struct change {
    const char *to; /* the passphrase; NULL: none */
    const char *why;
    size_t n;
};

/* What is not encrypted yet needs no passphrase to be read. */
static int change_key(const char *key_pem, char *out, size_t size, void *arg)
{
    struct change *c = arg;
    struct key *key = NULL;
    size_t len;
    struct text pem = text_of(key_pem);
    c->why = "a key in the state is damaged";
    int r = key_sealed_is(pem) ? seal_from_pem(pem, &key, &c->why) : key_from_pem(pem, &key);
    if (r == 0) {
        c->why = "a key can't be encrypted";
        r = c->to ? key_sealed_to_pem(key, text_of(c->to), KEY_SEALED_ITERATIONS, out, size, &len)
                  : key_to_pem(key, out, size, &len);
    }
    key_unref(key);
    if (r == 0)
        c->why = NULL;
    c->n += r == 0;
    return r;
}

static int change_all(struct store *s, void *arg)
{
    return store_change_keys(s, change_key, arg);
}

static int change_state(struct store *s, struct change *c)
{
    char asker[32];
    const struct change_by by = command_by(asker);
    const char *reason = c->to ? "keys encrypted anew" : "keys no longer encrypted";
    int r = change_audited(s, change_all, c, &by, (struct audit_record){.outcome = "made", .reason = reason});
    if (r < 0) {
        fprintf(stderr, "weir-ca: the keys stay as they are: %s\n", c->why ? c->why : store_why(s));
        return 1;
    }
    printf("%zu keys are %s now\n", c->n,
           c->to ? "encrypted under the new passphrase" : "not encrypted");
    if (store_forget_log(s) < 0)
        fprintf(stderr,
                "weir-ca: the state's log may still hold the keys as they were (%s): end weir-ca "
                "serve and say this once more\n",
                store_why(s));
    return fflush(stdout) != 0;
}

int command_passphrase(int argc, char **argv)
{
    const char *state = NULL, *new_file = NULL, *why;
    bool none = false;
    char *secret = NULL;
    struct store *store;
    struct change c = {0};
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        SEAL_ARG,
        {"new-file", ARG_STRING, &new_file, "FILE", "holds the passphrase from now on: at least 12 bytes",
         0, 0, false},
        {"none", ARG_FLAG, &none, NULL, "no passphrase from now on", 0, 0, false},
    };
    int r = args_parse("weir-ca passphrase",
                       "Encrypts all keys in the state, changes their passphrase, or takes it away. "
                       "Copies of the state that were made before stay as they were. A running "
                       "weir-ca is to be started anew with the new one.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (!new_file == !none)
        return command_usage_error("new-file", "say either --new-file or --none");
    if (new_file && seal_read(new_file, &secret, &why) < 0)
        return command_usage_error("new-file", why);
    c.to = secret;
    r = 1;
    if (command_open_state(state, &store) == 0) {
        r = change_state(store, &c);
        store_close(store);
    }
    secret_free(secret, KEY_SEALED_PASSPHRASE_MAX + 1);
    return r;
}
