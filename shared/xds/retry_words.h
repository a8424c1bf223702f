/*
 * The words of Envoy's retry_on, back from what shared/mesh/retry_policy.h makes of them.
 */
#ifndef SHARED_XDS_RETRY_WORDS_H
#define SHARED_XDS_RETRY_WORDS_H
#include <stdint.h>

enum { RETRY_WORDS_MAX = 512 };
void retry_words(uint32_t on, char out[static RETRY_WORDS_MAX]);
#endif
