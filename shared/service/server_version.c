#include "shared/http2/http2.h"
#include "shared/ring/ring.h"
#include "shared/service/lifecycle.h"
#include "shared/tls/tls_config.h"

enum { LIBRARIES_MAX = 16 };

void lifecycle_print_server_version(const char *program, const struct library_version *more,
                                    size_t n_more)
{
    bool accelerated;
    const char *tls = tls_library(&accelerated);
    struct library_version all[LIBRARIES_MAX] = {
        {"TLS", tls},
        {"cryptography", accelerated ? "accelerated" : "NOT ACCELERATED: the mesh will be slow"},
        {"HTTP/2", http2_library()},
        {"I/O", ring_library()},
    };
    size_t n = 4;
    for (size_t i = 0; i < n_more && n < LIBRARIES_MAX; i++)
        all[n++] = more[i];
    lifecycle_print_version(program, all, n);
}
