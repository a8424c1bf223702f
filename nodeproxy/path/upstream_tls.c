#include "nodeproxy/path/upstream_tls.h"

#include "shared/tls/web_client.h"
#include <errno.h>

bool upstream_tls_asked(const struct cluster *c)
{
    return c->tls.kind == TLS_SIMPLE || c->tls.kind == TLS_MUTUAL || c->tls.kind == TLS_UNKNOWN;
}

enum ending upstream_tls_ending(int result)
{
    return result == -ENOMEM         ? ENDING_NO_MEMORY
           : result == -EKEYREJECTED ? ENDING_PEER_UNTRUSTED
                                     : ENDING_TLS_FAILED;
}

/* What of it is not done here; NULL: nothing. */
static const char *not_done(const struct cluster_tls *t)
{
    if (t->kind == TLS_UNKNOWN)
        return "its cluster was refused, so nobody knows whether it asks for TLS: see the node proxy's log";
    if (t->kind == TLS_MUTUAL || t->certificate_secret.len > 0)
        return "TLS with a certificate of the client is not done here";
    if (t->ca_secret.len > 0)
        return "TLS with roots that are a Secret is not done here";
    if (t->sni.len == 0 && t->sni_of_host)
        return "TLS to a name that each request says is not done here";
    if (!t->insecure && !t->system_roots && t->ca_pem.len == 0)
        return "TLS without roots, where nobody said that any certificate will do, is not done here";
    for (size_t i = 0; i < t->n_sans; i++)
        if (t->sans[i].kind != TEXT_EXACT)
            return "TLS to a server whose name is a pattern is not done here";
    return NULL;
}

static enum ending find_roots(const struct path_env *env, const struct cluster_tls *t,
                              struct web_roots **ret, const char **ret_why)
{
    *ret = NULL;
    if (t->insecure)
        return ENDING_NONE;
    if (t->system_roots) {
        *ret_why = "there are no roots of the system: see --system-roots";
        if (!env->config->system_roots)
            return ENDING_PEER_UNTRUSTED;
        *ret = web_roots_ref(env->config->system_roots);
        return ENDING_NONE;
    }
    int r = web_roots_from_pem(t->ca_pem, ret, NULL, ret_why);
    return r == 0 ? ENDING_NONE : r == -ENOMEM ? ENDING_NO_MEMORY : ENDING_PEER_UNTRUSTED;
}

/* Without names of its own the server is the one that is asked for. */
static size_t find_names(const struct cluster_tls *t, struct text names[static WEB_NAMES_MAX])
{
    size_t n = 0;
    if (t->insecure)
        return 0;
    for (size_t i = 0; i < t->n_sans && n < WEB_NAMES_MAX; i++)
        names[n++] = t->sans[i].value;
    if (n == 0 && t->sni.len > 0)
        names[n++] = t->sni;
    return n;
}

static enum ending make(const struct path_env *env, struct upstream_cluster *c,
                        enum upstream_speech speech, const char **ret_why)
{
    static const struct text protocols[UPSTREAM_SPEECHES] = {
        [UPSTREAM_SPEAKS_HTTP1] = {"http/1.1", 8}, [UPSTREAM_SPEAKS_HTTP2] = {"h2", 2}};
    const struct cluster_tls *t = &c->cluster->tls;
    struct text names[WEB_NAMES_MAX];
    struct web_roots *roots;
    *ret_why = not_done(t);
    if (*ret_why)
        return ENDING_NOT_DONE;
    enum ending ending = find_roots(env, t, &roots, ret_why);
    if (ending != ENDING_NONE)
        return ending;
    const struct web_client_options o = {.server_name = t->sni,
                                         .names = names,
                                         .n_names = find_names(t, names),
                                         .roots = roots,
                                         .insecure = t->insecure,
                                         .protocol = protocols[speech],
                                         .protocol_needed = speech == UPSTREAM_SPEAKS_HTTP2};
    int r = web_client_new(&c->tls[speech], &o, ret_why);
    web_roots_unref(roots);
    return r == 0 ? ENDING_NONE : r == -EINVAL ? ENDING_NOT_DONE : ENDING_NO_MEMORY;
}

enum ending upstream_tls_find(const struct path_env *env, const struct upstream_tls_wish *w,
                              struct tls_config **ret, const char **ret_why)
{
    struct upstream_cluster *c = w->cluster;
    enum ending ending = ENDING_NONE;
    *ret = NULL;
    if (!c || !upstream_tls_asked(c->cluster))
        return ENDING_NONE;
    if (w->way != UPSTREAM_DIRECT && c->cluster->tls.kind != TLS_UNKNOWN) {
        *ret_why = "TLS of its own is not made to a workload of the mesh, whose connections have the mesh's";
        return ENDING_NOT_DONE;
    }
    if (!c->tls[w->speech])
        ending = make(env, c, w->speech, ret_why);
    if (ending == ENDING_NONE)
        *ret = c->tls[w->speech];
    return ending;
}
