#include "nodeproxy/warden/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>

/* libnftables tells errors as text only. */
static int error_of(const char *words)
{
    static const int known[] = {EPERM, ENOENT,       EOPNOTSUPP,      ENOMEM,
                                EBUSY, EAFNOSUPPORT, EPROTONOSUPPORT, ENOBUFS};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strstr(words, strerror(known[i])))
            return -known[i];
    return -EIO;
}

static int run(const char *commands, char **ret_text, char why[static PRIVILEGED_WHY_MAX])
{
    /* The context's netlink socket belongs to the namespace that it was made in, so it can't be
     * kept. */
    struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!ctx || nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx)) {
        nft_ctx_free(ctx);
        snprintf(why, PRIVILEGED_WHY_MAX, "nftables: no memory");
        return -ENOMEM;
    }
    int r = 0;
    if (nft_run_cmd_from_buffer(ctx, commands) != 0) {
        const char *words = nft_ctx_get_error_buffer(ctx);
        r = error_of(words ? words : "");
        size_t line = words ? strcspn(words, "\n") : 0;
        snprintf(why, PRIVILEGED_WHY_MAX, "nftables: %.*s", (int)line, words ? words : "");
    } else if (ret_text) {
        const char *text = nft_ctx_get_output_buffer(ctx);
        char *copy = strdup(text ? text : "");
        if (copy)
            *ret_text = copy;
        else
            r = -ENOMEM;
    }
    nft_ctx_free(ctx);
    return r;
}

int nft_apply(const char *commands, char why[static PRIVILEGED_WHY_MAX])
{
    return run(commands, NULL, why);
}

int nft_list(const char *command, char **ret_text, char why[static PRIVILEGED_WHY_MAX])
{
    return run(command, ret_text, why);
}
