#include "nodeproxy/warden/nft.h"

#include "shared/base/list.h"
#include <errno.h>
#include <malloc.h>
#include <nftables/libnftables.h>
#include <string.h>

/* libnftables tells errors as text only. */
static int error_of(const char *words)
{
    static const int known[] = {EPERM, ENOENT,       EOPNOTSUPP,      ENOMEM,
                                EBUSY, EAFNOSUPPORT, EPROTONOSUPPORT, ENOBUFS};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strstr(words, strerror(known[i])))
            return -known[i];
    return -EIO;
}

static int run(struct nft_ctx *ctx, const char *commands, char **ret_text, char why[static WHY_MAX])
{
    if (!ctx || nft_ctx_buffer_output(ctx) || nft_ctx_buffer_error(ctx))
        return why_say(-ENOMEM, why, "nftables: no memory");
    if (nft_run_cmd_from_buffer(ctx, commands) != 0) {
        const char *words = nft_ctx_get_error_buffer(ctx);
        words = words ? words : "";
        return why_say(error_of(words), why, "nftables: %.*s", (int)strcspn(words, "\n"), words);
    }
    if (ret_text) {
        const char *text = nft_ctx_get_output_buffer(ctx);
        char *copy = strdup(text ? text : "");
        if (!copy)
            return why_say(-ENOMEM, why, "nftables: no memory");
        *ret_text = copy;
    }
    return 0;
}

int nft_run(const char *commands, char **ret_text, char why[static WHY_MAX])
{
    /* The context's netlink socket belongs to the namespace that it was made in, so it can't be
     * kept. */
    struct nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    int r = run(ctx, commands, ret_text, why);
    nft_ctx_free(ctx);
    malloc_trim(0); /* what nftables needed is needed rarely */
    return r;
}
