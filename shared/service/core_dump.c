#include "shared/service/core_dump.h"

#include "shared/base/sanitized.h"
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int core_dump_forbid(void)
{
    /* The hard limit too: nobody in this process can raise it again. */
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    return !SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}
