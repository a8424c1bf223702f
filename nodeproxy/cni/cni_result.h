/*
 * What a CNI plugin prints: results, versions and errors, as JSON text.
 */
#ifndef NODEPROXY_CNI_CNI_RESULT_H
#define NODEPROXY_CNI_CNI_RESULT_H
#include "nodeproxy/cni/cni_call.h"

/* The result of the plugins before this one, in the form of the configuration's version: until
 * 0.4.0 each address says its IP version, from 1.0.0 on none does. -EINVAL: it is not a result, see
 * e. */
int cni_result_print(const struct cni_call *c, struct text_heap *out, struct cni_error *e);
void cni_version_print(const struct cni_call *c, struct text_heap *out);
void cni_error_print(const struct cni_call *c, const struct cni_error *e, struct text_heap *out);
#endif
