/*
 * One HTTP/1.1 request to the node proxy's Unix socket: blocking, with one deadline for all of it,
 * and a bounded answer. For programs that live for one call.
 */
#ifndef NODEPROXY_CNI_PROXY_CLIENT_H
#define NODEPROXY_CNI_PROXY_CLIENT_H
#include "shared/base/text.h"

enum { PROXY_ANSWER_MAX = 64 * 1024, PROXY_WHY_MAX = 256 };
/* POSTs a JSON body. *ret_status: the answer's; its body goes to the end of `answer`. -errno: there
 * was no answer, and why says at what; -ETIMEDOUT, -EPROTO (it is no HTTP). */
int proxy_post(struct text socket, const char *path, struct text body, uint64_t timeout_ms,
               unsigned *ret_status, struct text_heap *answer, char why[static PROXY_WHY_MAX]);
/* The answer's parts; false: it is no whole HTTP/1.x response. */
bool proxy_answer_split(struct text answer, unsigned *ret_status, struct text *ret_body);
#endif
