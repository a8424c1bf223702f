/*
 * Whether this build is watched by AddressSanitizer or ThreadSanitizer, with gcc or clang: such a
 * process traces itself at its end, so it needs what others give up.
 */
#ifndef SHARED_BASE_SANITIZED_H
#define SHARED_BASE_SANITIZED_H

#if defined(__has_feature)
#define SANITIZED_HAS(x) __has_feature(x)
#else
#define SANITIZED_HAS(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    SANITIZED_HAS(address_sanitizer) || SANITIZED_HAS(thread_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif
#endif
