#include "shared/kube/kube_easy.h"
#include <errno.h>
#include <string.h>
#include <weir_version.h>

enum { CONNECT_MS = 10000 };

int kube_easy_error(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST:
        return -EHOSTUNREACH;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return -EPROTO;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_WRITE_ERROR:
        return -E2BIG;
    default:
        return -EIO;
    }
}

static struct curl_blob blob(const struct kube_secret *s)
{
    return (struct curl_blob){s->data, s->len, CURL_BLOB_COPY};
}

/* Sets an option; the first failure is remembered. */
#define SET(t, option, value)                                                                      \
    do {                                                                                           \
        if (ok)                                                                                    \
            ok = curl_easy_setopt((t)->curl, (option), (value)) == CURLE_OK;                       \
    } while (0)

static bool set_identity(struct kube_easy *t, const struct kube_config *k)
{
    struct curl_blob authorities = blob(&k->authorities), certificate = blob(&k->certificate),
                     key = blob(&k->key);
    bool ok = true;
    SET(t, CURLOPT_SSL_VERIFYPEER, k->insecure ? 0L : 1L);
    SET(t, CURLOPT_SSL_VERIFYHOST, k->insecure ? 0L : 2L);
    SET(t, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (k->authorities.data)
        SET(t, CURLOPT_CAINFO_BLOB, &authorities);
    if (k->certificate.data) {
        SET(t, CURLOPT_SSLCERT_BLOB, &certificate);
        SET(t, CURLOPT_SSLKEY_BLOB, &key);
    }
    return ok;
}

/* With another name for its certificate the server is called by that name, and reached as it is. */
static bool set_url(struct kube_easy *t, const struct kube_config *k, const char *path)
{
    const char *host = k->server + strlen("https://"), *rest = strchr(host, '/');
    size_t host_len = rest ? (size_t)(rest - host) : strlen(host);
    struct text_heap url, to;
    bool ok = true;
    text_heap_init(&url, 65536);
    text_heap_init(&to, 1024);
    if (k->server_name) {
        bool has_port = memchr(host, ':', host_len) && host[host_len - 1] != ']';
        text_heap_printf(&url, "https://%s%s%s", k->server_name, rest ? rest : "", path);
        text_heap_printf(&to, "::%.*s%s", (int)host_len, host, has_port ? "" : ":443");
        t->connect_to = to.failed ? NULL : curl_slist_append(NULL, to.data);
        ok = t->connect_to != NULL;
        SET(t, CURLOPT_CONNECT_TO, t->connect_to);
    } else
        text_heap_printf(&url, "%s%s", k->server, path);
    ok = ok && !url.failed;
    SET(t, CURLOPT_URL, url.data);
    text_heap_done(&url);
    text_heap_done(&to);
    return ok;
}

static bool add_header(struct kube_easy *t, const char *name, const char *value)
{
    struct text_heap line;
    struct curl_slist *more = NULL;
    text_heap_init(&line, KUBE_FILE_MAX + 64);
    text_heap_printf(&line, "%s: %s", name, value);
    if (!line.failed)
        more = curl_slist_append(t->headers, line.data);
    if (line.data)
        explicit_bzero(line.data, line.len);
    text_heap_done(&line);
    if (more)
        t->headers = more;
    return more != NULL;
}

static bool set_request(struct kube_easy *t, const struct kube_config *k,
                        const struct kube_call *call)
{
    bool ok = add_header(t, "Accept", call->accept ? call->accept : "application/json");
    if (ok && k->token.data) {
        struct text_heap bearer;
        text_heap_init(&bearer, KUBE_FILE_MAX + 64);
        text_heap_printf(&bearer, "Bearer %s", k->token.data);
        ok = !bearer.failed && add_header(t, "Authorization", bearer.data);
        if (bearer.data)
            explicit_bzero(bearer.data, bearer.len);
        text_heap_done(&bearer);
    }
    if (call->body.data) {
        ok = ok && add_header(t, "Content-Type", call->type ? call->type : "application/json") &&
             add_header(t, "Expect", "");
        SET(t, CURLOPT_POSTFIELDSIZE, (long)call->body.len);
        SET(t, CURLOPT_COPYPOSTFIELDS, call->body.data);
    }
    if (call->method)
        SET(t, CURLOPT_CUSTOMREQUEST, call->method);
    SET(t, CURLOPT_HTTPHEADER, t->headers);
    SET(t, CURLOPT_NOSIGNAL, 1L);
    SET(t, CURLOPT_PROTOCOLS_STR, "https");
    SET(t, CURLOPT_PROXY, "");
    SET(t, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(t, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(t, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    return ok;
}

int kube_easy_set(struct kube_easy *t, const struct kube_config *config,
                  const struct kube_call *call)
{
    return set_identity(t, config) && set_url(t, config, call->path) &&
                   set_request(t, config, call)
               ? 0
               : -ENOMEM;
}

void kube_easy_done(struct kube_easy *t)
{
    if (t->curl)
        curl_easy_cleanup(t->curl);
    for (struct curl_slist *h = t->headers; h; h = h->next)
        explicit_bzero(h->data, strlen(h->data)); /* one of them holds the token */
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    *t = (struct kube_easy){0};
}
