#include "shared/base/stream.h"

static void dropped(struct stream *s, struct buf *bytes)
{
    (void)s;
    buf_done(bytes);
}
static void nothing(struct stream *s)
{
    (void)s;
}
static void failed(struct stream *s, int error)
{
    (void)s, (void)error;
}

const struct stream_events stream_nobody = {.received = dropped,
                                            .ended = nothing,
                                            .writable = nothing,
                                            .finished = nothing,
                                            .failed = failed};
