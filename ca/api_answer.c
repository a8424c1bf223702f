/* Answers of the JSON API; see the header. */
#include "ca/api_answer.h"

#include "shared/base/clock.h"
#include "shared/base/list.h"
#include "shared/tls/key.h"
#include <errno.h>
#include <stdio.h>

enum { ANSWER_MAX = 1024 * 1024 };

static const struct kind {
    unsigned status;
    const char *code, *remedy;
} kinds[] = {
    {400, "invalid_argument", "mend the field that is named, and ask again; docs/ca-openapi.yaml describes it"},
    {401, "unauthenticated",
     "send a token that weir-ca token has made (Authorization: Bearer TOKEN), or show a certificate "
     "of this CA in TLS that came of a join token"},
    {403, "permission_denied",
     "ask as an identity that may: administrators are named by weir-ca serve --api-admin"},
    {404, "not_found", "look at GET /v1/certificates or GET /v1/revocations for what there is"},
    {409, "conflict", "nothing is to be done: it is as you ask"},
    {429, "resource_exhausted", "ask again after a second, and less often"},
    {503, "unavailable", "ask again after some seconds; the CA's log says why"},
};

static const struct kind *kind_of(unsigned status)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].status == status)
            return &kinds[i];
    return &kinds[ARRAY_SIZE(kinds) - 1];
}

void api_out_begin(struct api_out *o)
{
    text_heap_init(&o->text, ANSWER_MAX);
    json_out_init(&o->json, &o->text, false);
    json_out_object(&o->json, NULL);
}

void api_out_time(struct api_out *o, const char *name, int64_t unix_s)
{
    char time[CLOCK_TEXT_MAX];
    json_out_string(&o->json, name, clock_print(unix_s * 1000, 0, time));
}

void api_out_answer(struct api_out *o, struct admin_exchange *x, unsigned status)
{
    json_out_end(&o->json);
    if (o->text.failed)
        admin_answer(x, 503, NULL, TEXT("the CA is out of memory\n"));
    else
        admin_answer(x, status, "application/json", (struct text){o->text.data, o->text.len});
    key_wipe(o->text.data, o->text.len); /* it may be a token */
    text_heap_done(&o->text);
}

void api_refuse(struct admin_exchange *x, unsigned status, const char *field, const char *message)
{
    const struct kind *k = kind_of(status);
    struct api_out o;
    api_out_begin(&o);
    json_out_object(&o.json, "error");
    json_out_string(&o.json, "code", k->code);
    json_out_string(&o.json, "field", field);
    json_out_string(&o.json, "message", message);
    json_out_string(&o.json, "remedy", k->remedy);
    json_out_end(&o.json);
    api_out_answer(&o, x, k->status);
}

void api_refuse_read(struct admin_exchange *x, int result, const struct api_error *e)
{
    if (result == -ENOMEM)
        api_refuse(x, 503, "", "the CA is out of memory");
    else
        api_refuse(x, 400, e->field, e->message);
}

void api_refuse_grant(struct admin_exchange *x, enum grpc_status status, const char *message)
{
    static const struct {
        const char *begins, *field;
    } fields[] = {{"csr: ", "csr"}, {"ImpersonatedIdentity: ", "identity"}};
    const char *field = "";
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        if (!text_starts_with(text_of(message), text_of(fields[i].begins)))
            continue;
        field = fields[i].field;
        message += strlen(fields[i].begins);
        break;
    }
    api_refuse(x,
               status == GRPC_INVALID_ARGUMENT     ? 400
               : status == GRPC_UNAUTHENTICATED    ? 401
               : status == GRPC_PERMISSION_DENIED  ? 403
               : status == GRPC_RESOURCE_EXHAUSTED ? 429
                                                   : 503,
               field, message);
}
