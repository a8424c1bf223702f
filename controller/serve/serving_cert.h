/*
 * The controller's own certificate: from files (certificate, key and roots), read again when they
 * change, or asked of the CA with a token and renewed in time. A new one is used for connections
 * from then on; a bad file is told and the old one goes on. Owned by the program; the ring's
 * thread.
 */
#ifndef CONTROLLER_SERVE_SERVING_CERT_H
#define CONTROLLER_SERVE_SERVING_CERT_H
#include "controller/discovery/watch.h"
#include "shared/credentials/credentials.h"

enum { SERVING_CERT_FILES = 3, SERVING_CERT_WHY_MAX = 512 };
struct serving_cert {
    struct watch watch;
    const char *certificate, *key,
        *roots; /* paths of PEM files; they live as long as the program */
    struct credentials *credentials; /* NULL: it is from files */
    void (*came)(struct serving_cert *c);
    void (*trusted)(struct serving_cert *c); /* the CA has said something of trust; may be NULL */
    struct trust *trust; /* what it said; NULL: nothing yet, or the certificate is from files */
    struct tls_config *config; /* NULL: there is none yet, or no more: nobody is served */
    char uri[X509_URI_MAX + 1];
    int64_t not_after_s;
    uint64_t loads, failures;
    void (*closed)(struct serving_cert *c);
    void *user;
};
/* -errno with why[]: which file, and what is wrong. */
int serving_cert_open(struct serving_cert *c, struct ring *ring, const char *certificate,
                      const char *key, const char *roots, char why[static SERVING_CERT_WHY_MAX]);
/* From the CA; `came` follows for each one, and at its end without another. -ENOMEM */
int serving_cert_ask(struct serving_cert *c, struct ring *ring, const struct credentials_options *o,
                     void (*came)(struct serving_cert *c));
void serving_cert_close(struct serving_cert *c, void (*closed)(struct serving_cert *c));
#endif
