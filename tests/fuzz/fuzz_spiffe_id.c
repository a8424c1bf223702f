/*
 * Input: a SPIFFE ID. What parses is a valid ID, lies whole within itself, and is made again from
 * its parts.
 * covers: shared/mesh/spiffe_id.c
 */
#include "shared/mesh/spiffe_id.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text t = {(const char *)data, size};
    struct spiffe_id id, made;
    const char *why = spiffe_id_check(t);

    (void)trust_domain_check(t);
    if (spiffe_id_parse(t, &id) < 0)
        return 0;
    if (why || !text_equal(spiffe_id_text(&id), t) || id.text[id.len] != '\0')
        abort();
    if (spiffe_id_make(spiffe_id_trust_domain(&id), spiffe_id_namespace(&id),
                       spiffe_id_service_account(&id), &made) < 0 ||
        !spiffe_id_equal(&id, &made))
        abort();
    return 0;
}
