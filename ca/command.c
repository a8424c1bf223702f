/* Commands on the state; see the header. */
#include "ca/command.h"

#include "ca/attest.h"
#include "ca/seal.h"
#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/tls/key.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int command_usage_error(const char *option, const char *why)
{
    fprintf(stderr, "weir-ca: --%s: %s\n", option, why);
    return 2;
}

int command_open_state(const char *folder, struct store **ret)
{
    char why[STORE_WHY_MAX];
    int r = store_open_existing(ret, folder, why);
    if (r < 0)
        fprintf(stderr, "weir-ca: --state: %s\n", why);
    return r;
}

int command_open_root(struct store *store, struct root *ret)
{
    char why[STORE_WHY_MAX];
    int r = root_open(ret, store, clock_unix_s(), why);
    if (r < 0)
        fprintf(stderr, "weir-ca: --state: %s\n", why);
    return r;
}

static int printed(int r)
{
    return r < 0 || fflush(stdout) != 0 ? 1 : 0;
}

struct change_by command_by(char asker[static 32])
{
    snprintf(asker, 32, "uid %u", (unsigned)getuid());
    return (struct change_by){asker, PROOF_COMMAND_LINE, clock_unix_s()};
}

/* ---- token --------------------------------------------------------------- */

int command_token(int argc, char **argv)
{
    const char *state = NULL, *node = NULL, *identity = NULL, *source = "";
    uint64_t ttl_ms = 0;
    struct store *store;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        {"node", ARG_STRING, &node, "NAME",
         "for that node's proxy, as often as it likes (default --ttl: 365d)", 0, 0, false},
        {"identity", ARG_STRING, &identity, "SPIFFE-ID",
         "a join token: good once, for a certificate of that identity, which then renews itself "
         "(default --ttl: 10m, at most 7d)",
         0, 0, false},
        {"source", ARG_STRING, &source, "PREFIX", "the addresses that may use a join token", 0, 0,
         false},
        {"ttl", ARG_DURATION_MS, &ttl_ms, "TIME", "how long", 1000, 0, false},
    };
    int r = args_parse("weir-ca token",
                       "Makes a token and prints it; only its digest is kept. It proves who asks "
                       "for certificates: a node's proxy, or a machine that joins.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    struct change_token t = {node, identity, source, (int64_t)(ttl_ms / 1000), ""};
    const char *field, *bad = change_token_check(&t, &field);
    if (bad)
        return command_usage_error(field, bad);
    if (command_open_state(state, &store) < 0)
        return 1;
    char asker[32];
    const struct change_by by = command_by(asker);
    r = change_token(store, &t, &by);
    if (r < 0)
        fprintf(stderr, "weir-ca: the token can't be kept: %s\n", store_why(store));
    else
        printf("%s\n", t.text);
    key_wipe(t.text, sizeof t.text);
    store_close(store);
    return printed(r);
}

/* ---- revoke -------------------------------------------------------------- */

static int revoke_in(struct store *s, const struct change_revocation *v)
{
    char asker[32];
    const struct change_by by = command_by(asker);
    int r = change_revocation(s, v, &by);
    if (r == -ENOENT && v->serial)
        fprintf(stderr, "weir-ca: --serial: no such certificate was issued; see weir-ca list\n");
    else if (r == -EEXIST)
        fprintf(stderr, "weir-ca: it is revoked already\n");
    else if (r == -ENOENT)
        fprintf(stderr, "weir-ca: it is not revoked\n");
    else if (r < 0)
        fprintf(stderr, "weir-ca: it can't be written: %s\n", store_why(s));
    return r;
}

int command_revoke(int argc, char **argv)
{
    const char *state = NULL;
    struct change_revocation v = {.reason = ""};
    struct store *store;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        {"identity", ARG_STRING, &v.identity, "SPIFFE-ID",
         "gets no certificates any more, and those that it has are revoked", 0, 0, false},
        {"serial", ARG_STRING, &v.serial, "HEX", "that one certificate", 0, 0, false},
        {"reason", ARG_STRING, &v.reason, "TEXT", "for the audit log", 0, 0, false},
        {"lift", ARG_FLAG, &v.lift, NULL,
         "the identity may have new certificates again; revoked ones stay so", 0, 0, false},
    };
    int r = args_parse("weir-ca revoke",
                       "Nothing is issued any more to what is revoked, from the next request on; "
                       "a certificate that is revoked can't be renewed.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    const char *field, *bad = change_revocation_check(&v, &field);
    if (bad)
        return command_usage_error(field, bad);
    if (command_open_state(state, &store) < 0)
        return 1;
    r = revoke_in(store, &v);
    store_close(store);
    return r < 0 ? 1 : 0;
}

/* ---- backup, restore, check ---------------------------------------------- */

int command_backup(int argc, char **argv)
{
    const char *state = NULL, *out = NULL;
    char why[STORE_WHY_MAX];
    struct store *store;
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
        {"out", ARG_STRING, &out, "FILE", "a new file; it holds the keys: guard it", 0, 0, true},
    };
    int r = args_parse("weir-ca backup",
                       "Copies the whole state as it is at one moment, also while the CA serves.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (command_open_state(state, &store) < 0)
        return 1;
    r = store_backup(store, out, why);
    if (r < 0)
        fprintf(stderr, "weir-ca: --out: %s\n", why);
    store_close(store);
    return r < 0 ? 1 : 0;
}

int command_restore(int argc, char **argv)
{
    const char *state = NULL, *from = NULL;
    char why[STORE_WHY_MAX];
    const struct arg table[] = {
        {"state", ARG_STRING, &state, "DIR|postgresql:FILE", "where no state is yet; its parent must be there", 0,
         0, true},
        {"from", ARG_STRING, &from, "FILE", "what weir-ca backup has made", 0, 0, true},
    };
    int r = args_parse("weir-ca restore",
                       "Makes a state of a copy. What was revoked since then is to be revoked "
                       "again; join tokens do not come back.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    r = store_restore(state, from, clock_unix_s(), why);
    if (r < 0)
        fprintf(stderr, "weir-ca: %s\n", why);
    return r < 0 ? 1 : 0;
}

static void tell_problem(const char *text, void *arg)
{
    size_t *n = arg;
    printf("PROBLEM  %s\n", text);
    ++*n;
}

static void tell_rotation(struct store *s)
{
    char why[STORE_WHY_MAX], at[CLOCK_TEXT_MAX];
    struct rotation n;
    if (rotation_read(s, &n, why) < 0 || n.step == ROTATION_NONE)
        return;
    clock_print(n.due_s * 1000, 0, at);
    printf("rotation: %s\n",
           n.step == ROTATION_BEGUN
               ? "a new root is given to all, and does not sign yet"
               : "the new root signs, and the one before is trusted still");
    printf("  the next step: not before %s, when the last certificate of before has ended\n", at);
}

int command_check(int argc, char **argv)
{
    const char *state = NULL;
    char why[STORE_WHY_MAX];
    uint64_t issued = 0;
    size_t problems = 0;
    struct store *store;
    const struct arg table[] = {{"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
                                SEAL_ARG};
    int r = args_parse("weir-ca check",
                       "Looks whether the state is whole: the file, the keys and certificates, and "
                       "that each certificate has its line in the audit log.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (command_open_state(state, &store) < 0)
        return 1;
    r = store_check(store, tell_problem, &problems);
    if (r == 0)
        r = store_count_issued(store, &issued);
    if (r < 0)
        tell_problem(store_why(store), &problems);
    if (root_check(store, clock_unix_s(), why) < 0)
        tell_problem(why, &problems);
    else
        tell_rotation(store);
    if (problems == 0)
        printf("fine: %llu certificates issued, each with its line\n", (unsigned long long)issued);
    store_close(store);
    return problems > 0 ? 1 : printed(0);
}
