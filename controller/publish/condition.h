/*
 * The condition that we write on a policy: its type is our own, since Istio's (WaypointAccepted,
 * ZtunnelAccepted) speak of proxies that are none of ours and may be there too. Pure: what an object
 * has, what it is to have, and the patch between the two, which leaves everybody else's entries as they
 * are. An entry is known by a number made of what it says.
 */
#ifndef CONTROLLER_PUBLISH_CONDITION_H
#define CONTROLLER_PUBLISH_CONDITION_H
#include "controller/model/problem_index.h"
#include "shared/json/json.h"

#define CONDITION_TYPE "weir.mesh/Accepted"
enum { CONDITION_MESSAGE_MAX = 1024, CONDITIONS_MAX = 64 };
struct condition { /* what is to be there */
    bool accepted;
    const char *reason; /* "Accepted", "AppliedInPart", "Invalid" */
    char message[CONDITION_MESSAGE_MAX];
    int64_t generation; /* of the object that was judged */
};
/* What is to be said about an object with these problems. */
void condition_judge(struct problem_group of_it, int64_t generation, struct condition *ret);
uint64_t condition_number(const struct condition *c); /* never 0 */
/* An entry of a list of conditions: its number, and as it is to be, in place of `old` (NULL: none). */
uint64_t condition_entry_number(const struct json *entry);
struct json_out;
void condition_put(struct json_out *o, const struct json *old, const char *type,
                   const struct condition *c, int64_t unix_ms);
/* The entry of this type in an object's status, CONDITION_TYPE of a policy; 0: there is none. */
uint64_t condition_there(const struct json *object, const char *type);
int64_t condition_generation(const struct json *object); /* metadata.generation; 0: not said */
/* The merge patch for /status, with the object's resourceVersion as the condition of its own. -EINVAL:
 * the object has no version, or conditions that are no list; -E2BIG: too many; -ENOMEM. */
int condition_patch(const struct json *object, const char *type, const struct condition *c,
                    int64_t unix_ms, struct text_heap *ret_body);
#endif
