/*
 * One request as a handle of libcurl: where it goes, who we are, what is asked. For the files of this folder that move bytes (kube_transfer.c
 * on a ring, kube_once.c by waiting) alone. Embedded in its owner.
 */
#ifndef SHARED_KUBE_KUBE_EASY_H
#define SHARED_KUBE_KUBE_EASY_H
#include "shared/kube/kube_client.h"
#include <curl/curl.h>

struct kube_easy {
    CURL *curl;
    struct curl_slist *headers, *connect_to;
};
/* All but where the answer goes. -ENOMEM. */
int kube_easy_set(struct kube_easy *e, const struct kube_config *config, const struct kube_call *call);
int kube_easy_error(CURLcode code); /* 0 or -errno */
void kube_easy_done(struct kube_easy *e);
#endif
