#include "shared/http1/http1_codec.h"
#include "shared/http1/http1_internal.h"
#include <errno.h>
#include <stdlib.h>

int http1_codec_new(struct http1_codec **ret, const struct http1_codec_options *options,
                    struct chunk_pool *pool)
{
    if (options->head_max > HEAD_MOST || options->fields_max > FIELDS_MOST)
        return -EINVAL;
    struct http1_codec *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->pool = pool;
    c->server = options->server;
    c->upgrades = options->upgrades;
    c->https = options->https;
    c->head_max = options->head_max ? (uint32_t)options->head_max : HEAD_MAX;
    c->fields_max = options->fields_max ? (uint16_t)options->fields_max : FIELDS_MAX;
    *ret = c;
    return 0;
}

static void drop_trailers(struct http1_codec *c)
{
    if (c->trailers)
        http_head_done(c->trailers);
    free(c->trailers);
    c->trailers = NULL;
}

struct http1_codec *http1_codec_free(struct http1_codec *c)
{
    if (c)
        drop_trailers(c);
    free(c);
    return NULL;
}

int http1_refuse(struct http1_codec *c, int status)
{
    if (c->reading != READ_REFUSED)
        c->status = c->server || status == 503 ? status : 502;
    c->reading = READ_REFUSED;
    return -c->status;
}

void http1_upgraded(struct http1_codec *c, bool yes)
{
    if (c->server)
        c->reading = yes ? READ_RAW : READ_END_DUE;
    else if (c->writing == WRITE_HELD)
        c->writing = yes ? WRITE_RAW : WRITE_DONE;
}

bool http1_codec_ends(const struct http1_codec *c)
{
    return c->reading == READ_END_DUE || c->reading == READ_COMPLETE;
}

uint64_t http1_codec_announced(const struct http1_codec *c)
{
    if (c->reading == READ_LENGTH || c->reading == READ_CHUNK)
        return c->left;
    return 0;
}

struct http_head *http1_codec_trailers(const struct http1_codec *c)
{
    return c->trailers;
}

void http1_codec_close_after(struct http1_codec *c)
{
    c->close_after = true;
}

bool http1_codec_keep_alive(const struct http1_codec *c)
{
    return c->keep_alive;
}

bool http1_codec_reusable(const struct http1_codec *c)
{
    bool written = c->writing == WRITE_DONE || (c->server && c->writing == WRITE_BEGIN);
    return c->reading == READ_COMPLETE && written && c->keep_alive && !c->close_after;
}

bool http1_codec_next(struct http1_codec *c)
{
    if (!http1_codec_reusable(c))
        return false;
    drop_trailers(c);
    c->reading = READ_BEGIN;
    c->writing = WRITE_BEGIN;
    c->blank_before = false;
    c->n_interim = 0;
    c->asked_head = false;
    c->protocol[0] = '\0';
    return true;
}

#define NUMBER_TEXT(n) #n
#define VERSION_TEXT(major, minor, patch)                                                          \
    NUMBER_TEXT(major) "." NUMBER_TEXT(minor) "." NUMBER_TEXT(patch)

const char *http1_library(void)
{
    return "llhttp " VERSION_TEXT(LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
}
