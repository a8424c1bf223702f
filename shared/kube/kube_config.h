/*
 * Where a Kubernetes API server is and how to prove who we are: from a pod's own surroundings, or from a kubeconfig. What is kept in files
 * (tokens, certificates) is read again by kube_config_refresh(), because it rotates. One thread; owned by whoever has it; secrets in it
 * are wiped when they are replaced and at the end. Bounded by KUBE_FILE_MAX a file.
 */
#ifndef SHARED_KUBE_KUBE_CONFIG_H
#define SHARED_KUBE_KUBE_CONFIG_H
#include "shared/base/text.h"

enum { KUBE_FILE_MAX = 1024 * 1024, KUBE_WHY_MAX = 512 };
struct kube_secret { /* from a file, or given as it is */
    char *file;      /* NULL: it does not change */
    char *data;      /* NUL-terminated; NULL: there is none */
    size_t len;
};
struct kube_config {
    char *server;      /* "https://10.96.0.1:443", without a slash at the end */
    char *server_name; /* that the certificate must have; NULL: the server's own */
    struct kube_secret authorities, certificate, key, token; /* PEM, PEM, PEM, bearer token */
    bool insecure; /* the server's certificate is not looked at */
    char *ns;      /* that our pod is in; NULL: not known */
};
/* From KUBERNETES_SERVICE_HOST and _PORT and the service account's folder (WEIR_SERVICE_ACCOUNT_DIR names another). -ENOENT: we run in no pod; -errno: why says what. */
int kube_config_in_cluster(struct kube_config **ret, char why[static KUBE_WHY_MAX]);
/* context NULL: the current one. allow_insecure: insecure-skip-tls-verify is taken. Programs that make credentials (exec, auth-provider),
 * passwords and impersonation are refused: -ENOTSUP. -EINVAL: what is written there can't be. */
int kube_config_from_file(const char *path, const char *context, bool allow_insecure,
                          struct kube_config **ret, char why[static KUBE_WHY_MAX]);
/* Reads the files again. -errno: why names the first that can't be read, whose old content stays. */
int kube_config_refresh(struct kube_config *c, char why[static KUBE_WHY_MAX]);
struct kube_config *kube_config_free(struct kube_config *c);
#endif
