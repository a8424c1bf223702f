#include "nodeproxy/machine/join.h"

#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/base/log.h"
#include "shared/credentials/credentials.h"
#include "shared/service/core_dump.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct join {
    struct ring *ring;
    struct credentials *credentials;
    const struct credentials_options *options;
    struct timer deadline;
    bool over, joined;
    char why[CREDENTIALS_WHY_MAX];
};

int join_file(const char *state_dir, char out[static PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s/svid.pem", state_dir);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static void tell(const struct credential *c, const char *how, const char *file)
{
    char end[32] = "";
    struct tm tm;
    time_t at = (time_t)c->not_after_s;
    if (gmtime_r(&at, &tm))
        (void)strftime(end, sizeof end, "%Y-%m-%dT%H:%M:%SZ", &tm);
    printf("%s %s until %s, renewed by whoever uses %s\n", how, c->id.text, end, file);
}

/* ---- asking ---- */

static void end(struct join *j)
{
    j->over = true;
    ring_stop(j->ring);
}

static void changed(struct credentials *m, const struct spiffe_id *id, struct credential *c,
                    void *arg)
{
    struct join *j = arg;
    (void)m;
    (void)id;
    if (!c || j->over)
        return;
    /* This one, not one from before. */
    struct credential *kept;
    char why[SVID_FILE_WHY_MAX];
    if (svid_file_read(j->options->keep_file, &c->id, clock_unix_s(), &kept, why) == 0) {
        j->joined = strcmp(kept->serial, c->serial) == 0;
        credential_unref(kept);
    }
    if (j->joined)
        tell(c, "joined as", j->options->keep_file);
    else
        snprintf(j->why, sizeof j->why, "the certificate came and can't be kept");
    end(j);
}

/* The token is spent by being shown: there is no sense in showing it again. */
static void refused(struct credentials *m, const struct spiffe_id *id, const char *why, void *arg)
{
    struct join *j = arg;
    (void)m;
    (void)id;
    if (j->over)
        return;
    snprintf(j->why, sizeof j->why, "%s", why);
    end(j);
}

static void late(struct timer *t)
{
    struct join *j = container_of(t, struct join, deadline);
    struct credentials_stats stats;
    credentials_stats(j->credentials, &stats);
    snprintf(j->why, sizeof j->why, "%s",
             stats.last_error[0] ? stats.last_error : "the CA does not answer");
    end(j);
}

static void closed(void *arg)
{
    ring_stop(((struct join *)arg)->ring);
}

static const struct credentials_events events = {.changed = changed, .refused = refused};

static int ask(const struct credentials_options *o, uint64_t timeout_ms)
{
    const struct ring_options small = {.entries = 64, .buffers = 16, .chunks_max = 256};
    struct join j = {.options = o};
    const char *why = NULL;
    int r = ring_open(&j.ring, &small, &why);
    if (r < 0) {
        fprintf(stderr, "weir-nodeproxy join: %s\n", why ? why : strerror(-r));
        return r;
    }
    timer_init(&j.deadline, late);
    timer_start(ring_timers(j.ring), &j.deadline, timeout_ms);
    r = credentials_open(&j.credentials, j.ring, o, &events, &j);
    if (r == 0) {
        r = credentials_want(j.credentials, &o->self);
        if (r == 0)
            r = ring_run(j.ring);
        timer_stop(ring_timers(j.ring), &j.deadline);
        credentials_close(j.credentials, closed, &j);
        if (r == 0)
            r = ring_run(j.ring);
    }
    ring_free(j.ring);
    if (r < 0)
        snprintf(j.why, sizeof j.why, "%s", strerror(-r));
    if (r == 0 && j.joined)
        return 0;
    fprintf(stderr, "weir-nodeproxy join: not joined: %s\n", j.why);
    return -EACCES;
}

/* ---- the command ---- */

static int make_folder(const char *path)
{
    struct stat st;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int usage(const char *option, const char *why)
{
    fprintf(stderr, "weir-nodeproxy join: --%s: %s\n", option, why);
    return 2;
}

int join_command(int argc, char **argv)
{
    const char *state_dir = "/var/lib/weir", *identity = NULL, *ca_identity = NULL;
    const char *trust_domain = "cluster.local", *bad;
    char file[PATH_MAX], ca_text[SPIFFE_ID_TEXT_MAX], why[SVID_FILE_WHY_MAX];
    uint64_t timeout_ms = 60000;
    struct credentials_options o = {.keep_file = file};
    const struct arg table[] = {
        {"ca", ARG_ADDR, &o.ca, "ADDR:PORT", "the CA's endpoint", 0, 0, true},
        {"roots", ARG_STRING, &o.roots_file, "FILE",
         "PEM of the roots that the CA must lead to (`weir-ca roots` prints them)", 0, 0, true},
        {"token-file", ARG_STRING, &o.token_file, "FILE",
         "the token, good once (`weir-ca token --identity` makes one)", 0, 0, true},
        {"state-dir", ARG_STRING, &state_dir, "DIR",
         "where key and certificate are kept (default: /var/lib/weir)", 0, 0, false},
        {"identity", ARG_STRING, &identity, "SPIFFE-ID",
         "whom the token must be for (default: whoever it is)", 0, 0, false},
        {"ca-identity", ARG_STRING, &ca_identity, "SPIFFE-ID", "whom the CA must prove to be", 0, 0,
         false},
        {"trust-domain", ARG_STRING, &trust_domain, "NAME", "SPIFFE trust domain", 0, 0, false},
        {"anew", ARG_FLAG, &o.join_anew, NULL, "even if there is a valid certificate already", 0, 0,
         false},
        {"timeout", ARG_DURATION_MS, &timeout_ms, "TIME", "for all of it", 100, 3600000, false},
    };
    int r = args_parse("weir-nodeproxy join",
                       "Gives this machine an identity of the mesh, by a token that is good once.",
                       table, ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if ((bad = trust_domain_check(text_of(trust_domain))))
        return usage("trust-domain", bad);
    if (identity && spiffe_id_parse(text_of(identity), &o.self) < 0)
        return usage("identity", "must be spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT");
    if (!ca_identity)
        snprintf(ca_text, sizeof ca_text, "spiffe://%s/ns/weir-system/sa/weir-ca", trust_domain);
    o.ca_identity = ca_identity ? ca_identity : ca_text;
    if ((r = make_folder(state_dir)) < 0 || (r = join_file(state_dir, file)) < 0)
        return usage("state-dir", strerror(-r));
    if ((r = core_dump_forbid()) < 0) {
        fprintf(stderr, "weir-nodeproxy join: core dumps can't be forbidden: %s\n", strerror(-r));
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    log_configure(LOG_ERROR, LOG_TEXT, 0);
    struct credential *kept = NULL;
    if (!o.join_anew && svid_file_read(file, &o.self, clock_unix_s(), &kept, why) == 0) {
        tell(kept, "joined already as", file);
        credential_unref(kept);
        return 0;
    }
    return ask(&o, timeout_ms) < 0 ? 1 : 0;
}
