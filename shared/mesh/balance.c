#include "shared/mesh/balance.h"

#include <assert.h>
#include <stdlib.h>

struct balance_host *balance_host_unref(struct balance_host *h)
{
    if (!h)
        return NULL;
    assert(h->refs > 0);
    if (--h->refs == 0)
        free(h);
    return NULL;
}
