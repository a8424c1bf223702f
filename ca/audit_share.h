/*
 * How many refusals have a line in the audit log. Lines are for good (store.h), and refusals are as
 * many as somebody wants: so many in a second, so that all that comes together is seen, and so many
 * in a day, so that whoever goes on for months does not fill the disk. Strangers and those who have
 * proved who they are have shares of their own. One thread; embedded, zero at first.
 */
#ifndef CA_AUDIT_SHARE_H
#define CA_AUDIT_SHARE_H
#include <stdbool.h>
#include <stdint.h>

enum audit_share_of { AUDIT_STRANGERS, AUDIT_KNOWN, AUDIT_SHARES };
enum { AUDIT_STRANGERS_SECOND = 5, AUDIT_STRANGERS_DAY = 1000 };
enum { AUDIT_KNOWN_SECOND = 50, AUDIT_KNOWN_DAY = 5000 };
struct audit_share {
    uint64_t second, day; /* that is counted, of the monotonic clock */
    unsigned in_second[AUDIT_SHARES], in_day[AUDIT_SHARES];
};
bool audit_share_take(struct audit_share *s, enum audit_share_of whose, uint64_t now_ms);
#endif
