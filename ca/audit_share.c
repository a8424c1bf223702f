/* Shares of the audit log; see the header. */
#include "ca/audit_share.h"

enum { SECOND_MS = 1000, DAY_MS = 86400000 };

static void turn(uint64_t *window, uint64_t now, unsigned counts[static AUDIT_SHARES])
{
    if (*window == now)
        return;
    *window = now;
    for (unsigned i = 0; i < AUDIT_SHARES; i++)
        counts[i] = 0;
}

bool audit_share_take(struct audit_share *s, enum audit_share_of whose, uint64_t now_ms)
{
    static const unsigned in_second[] = {AUDIT_STRANGERS_SECOND, AUDIT_KNOWN_SECOND},
                          in_day[] = {AUDIT_STRANGERS_DAY, AUDIT_KNOWN_DAY};
    turn(&s->second, now_ms / SECOND_MS, s->in_second);
    turn(&s->day, now_ms / DAY_MS, s->in_day);
    if (s->in_second[whose] >= in_second[whose] || s->in_day[whose] >= in_day[whose])
        return false;
    s->in_second[whose]++;
    s->in_day[whose]++;
    return true;
}
