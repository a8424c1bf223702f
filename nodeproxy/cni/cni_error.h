/*
 * Errors as a CNI plugin tells them (CNI specification 1.0.0, "Error"): a code that the runtime
 * acts on, a sentence, and details that name the field and what would be right. The first one that
 * is put in stays.
 */
#ifndef NODEPROXY_CNI_CNI_ERROR_H
#define NODEPROXY_CNI_CNI_ERROR_H

enum cni_code {
    CNI_OK,
    CNI_INCOMPATIBLE_VERSION = 1,
    CNI_UNKNOWN_CONTAINER = 3,
    CNI_INVALID_ENVIRONMENT = 4,
    CNI_IO_FAILURE = 5,
    CNI_DECODING_FAILURE = 6,
    CNI_INVALID_CONFIG = 7,
    CNI_TRY_AGAIN = 11,
    CNI_REFUSED = 100, /* from here on ours: the node proxy says no */
    CNI_NOT_AS_ADDED = 101,
};
enum { CNI_MSG_MAX = 256, CNI_DETAILS_MAX = 768 };
struct cni_error {
    enum cni_code code;
    char msg[CNI_MSG_MAX], details[CNI_DETAILS_MAX];
};
/* Returns -EINVAL, so that a caller can return what this returns. */
int cni_fail(struct cni_error *e, enum cni_code code, const char *msg, const char *details, ...)
    __attribute__((format(printf, 4, 5)));
#endif
