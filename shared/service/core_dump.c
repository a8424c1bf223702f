#include "shared/service/core_dump.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#if defined(__has_feature)
#define HAS_FEATURE(x) __has_feature(x)
#else
#define HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer)
enum { TRACES_ITSELF = 1 };
#else
enum { TRACES_ITSELF = 0 };
#endif

int core_dump_forbid(void)
{
    /* The hard limit too: nobody in this process can raise it again. */
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) < 0)
        return -errno;
    return !TRACES_ITSELF && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}
