#include "shared/mesh/ending.h"

#include <assert.h>

static const struct {
    const char *text, *flag, *meaning;
    unsigned status;
} endings[ENDING_COUNT] = {
#define X(name, text, flag, status, meaning) [ENDING_##name] = {text, flag, meaning, status},
    ENDINGS(X)
#undef X
};

const char *ending_text(enum ending e)
{
    assert(e < ENDING_COUNT);
    return endings[e].text;
}

const char *ending_flag(enum ending e)
{
    assert(e < ENDING_COUNT);
    return endings[e].flag;
}

unsigned ending_hbone_status(enum ending e)
{
    assert(e < ENDING_COUNT);
    return endings[e].status;
}

const char *ending_meaning(enum ending e)
{
    assert(e < ENDING_COUNT);
    return endings[e].meaning;
}
