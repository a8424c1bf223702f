#include "shared/kube/kube_once.h"
#include "shared/kube/kube_easy.h"
#include <errno.h>
#include <stdio.h>

enum { DEADLINE_MS = 30000 };

int kube_once_open(struct kube_once *o, const struct kube_config *config)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return -ENOMEM;
    CURLSH *share = curl_share_init();
    if (!share || curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK) {
        curl_share_cleanup(share);
        return -ENOMEM;
    }
    *o = (struct kube_once){config, share};
    return 0;
}

void kube_once_close(struct kube_once *o)
{
    if (o->share)
        curl_share_cleanup(o->share);
    *o = (struct kube_once){0};
}

static size_t take_bytes(char *data, size_t size, size_t n, void *user)
{
    struct text_heap *body = user;
    text_heap_put(body, (struct text){data, size * n});
    return body->failed ? 0 : size * n;
}

int kube_once_ask(struct kube_once *o, const struct kube_call *call, unsigned *ret_status,
                  struct text_heap *ret_body, char why[static KUBE_WHY_MAX])
{
    struct kube_easy e = {.curl = curl_easy_init()};
    char said[CURL_ERROR_SIZE] = "";
    long status = 0;
    text_heap_init(ret_body, call->answer_max ? call->answer_max : KUBE_ANSWER_MAX);
    int err = e.curl ? kube_easy_set(&e, o->config, call) : -ENOMEM;
    long deadline_ms = call->deadline_ms ? (long)call->deadline_ms : DEADLINE_MS;
    if (err == 0 && (curl_easy_setopt(e.curl, CURLOPT_SHARE, o->share) ||
                     curl_easy_setopt(e.curl, CURLOPT_ERRORBUFFER, said) ||
                     curl_easy_setopt(e.curl, CURLOPT_TIMEOUT_MS, deadline_ms) ||
                     curl_easy_setopt(e.curl, CURLOPT_WRITEFUNCTION, take_bytes) ||
                     curl_easy_setopt(e.curl, CURLOPT_WRITEDATA, ret_body)))
        err = -ENOMEM;
    if (err == 0) {
        CURLcode code = curl_easy_perform(e.curl);
        err = kube_easy_error(code);
        if (err < 0 && !said[0])
            snprintf(said, sizeof said, "%s", curl_easy_strerror(code));
        curl_easy_getinfo(e.curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_setopt(e.curl, CURLOPT_ERRORBUFFER, NULL);
    }
    kube_easy_done(&e);
    *ret_status = (unsigned)status;
    if (err < 0)
        snprintf(why, KUBE_WHY_MAX, "%s", said[0] ? said : strerror(-err));
    return err;
}
