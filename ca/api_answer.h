/*
 * Answers of the JSON API: an object, or an error with the field and the remedy. Each answers its
 * exchange.
 */
#ifndef CA_API_ANSWER_H
#define CA_API_ANSWER_H
#include "ca/api_read.h"
#include "shared/grpc/grpc.h"
#include "shared/json/json_out.h"
#include "shared/service/admin.h"

struct api_out {
    struct text_heap text;
    struct json_out json; /* in the object */
};
void api_out_begin(struct api_out *o);
void api_out_time(struct api_out *o, const char *name, int64_t unix_s); /* RFC 3339, UTC */
void api_out_answer(struct api_out *o, struct admin_exchange *x, unsigned status);

/* field "": none in particular. The remedy follows from the status. */
void api_refuse(struct admin_exchange *x, unsigned status, const char *field, const char *message);
void api_refuse_read(struct admin_exchange *x, int result, const struct api_error *e);
/* What a decision's status is in HTTP; its message may begin with the name of a field. */
void api_refuse_grant(struct admin_exchange *x, enum grpc_status status, const char *message);
#endif
