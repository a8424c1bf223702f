#include "shared/kube/kube_config.h"
#include "shared/base/addr.h"
#include "shared/kube/kube_secret.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

struct kube_config *kube_config_free(struct kube_config *c)
{
    if (!c)
        return NULL;
    free(c->server);
    free(c->server_name);
    free(c->ns);
    kube_secret_done(&c->authorities);
    kube_secret_done(&c->certificate);
    kube_secret_done(&c->key);
    kube_secret_done(&c->token);
    free(c);
    return NULL;
}

int kube_config_refresh(struct kube_config *c, char why[static KUBE_WHY_MAX])
{
    struct kube_secret *const all[] = {&c->authorities, &c->certificate, &c->key, &c->token};
    int first = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char other[KUBE_WHY_MAX];
        int err = kube_secret_read(all[i], first ? other : why);
        if (first == 0)
            first = err;
    }
    return first;
}

/* It may be missing: who mounts a token alone has none. */
static int read_namespace(struct kube_config *c, const char *folder)
{
    char file[1024], why[KUBE_WHY_MAX];
    snprintf(file, sizeof file, "%s/namespace", folder);
    struct kube_secret content = {.file = file};
    int err = kube_secret_read(&content, why);
    if (err == 0)
        c->ns = text_dup((struct text){content.data, content.len});
    bool no_memory = err == -ENOMEM || (err == 0 && !c->ns);
    free(content.data);
    return no_memory ? -ENOMEM : 0;
}

int kube_config_in_cluster(struct kube_config **ret, char why[static KUBE_WHY_MAX])
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    const char *folder = getenv("WEIR_SERVICE_ACCOUNT_DIR");
    char server[320], file[1024];
    struct ip ip;
    if (!host || !host[0] || !port || !port[0]) {
        snprintf(why, KUBE_WHY_MAX,
                 "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: outside of a "
                 "cluster say --kubeconfig FILE");
        return -ENOENT;
    }
    bool v6 = ip_parse(text_of(host), &ip) == 0 && ip.len == 16;
    snprintf(server, sizeof server, v6 ? "https://[%s]:%s" : "https://%s:%s", host, port);
    struct kube_config *c = calloc(1, sizeof *c);
    if (!c)
        goto no_memory;
    c->server = text_dup(text_of(server));
    snprintf(file, sizeof file, "%s/ca.crt", folder && folder[0] ? folder : ACCOUNT_FOLDER);
    c->authorities.file = text_dup(text_of(file));
    snprintf(file, sizeof file, "%s/token", folder && folder[0] ? folder : ACCOUNT_FOLDER);
    c->token.file = text_dup(text_of(file));
    if (!c->server || !c->authorities.file || !c->token.file)
        goto no_memory;
    int err = kube_config_refresh(c, why);
    if (err == 0)
        err = read_namespace(c, folder && folder[0] ? folder : ACCOUNT_FOLDER);
    if (err < 0) {
        kube_config_free(c);
        return err;
    }
    *ret = c;
    return 0;

no_memory:
    kube_config_free(c);
    snprintf(why, KUBE_WHY_MAX, "out of memory");
    return -ENOMEM;
}
