/* weir-ca crl; see command.h. */
#include "ca/command.h"
#include "ca/revocation_list.h"
#include "ca/seal.h"
#include "shared/base/args.h"
#include "shared/base/clock.h"
#include "shared/base/list.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int print(const struct revocation_list *l, const struct root *root, bool der)
{
    uint8_t *bytes = NULL;
    char *pem = NULL;
    size_t len = 0, pem_len = 0;
    const char *why = "out of memory";
    int r = revocation_list_sign(l, root, clock_unix_s(), &bytes, &len, &why);
    if (r == 0 && !der)
        r = crl_to_pem(bytes, len, &pem, &pem_len);
    if (r < 0)
        fprintf(stderr, "weir-ca: %s\n", why);
    else if (der)
        (void)fwrite(bytes, 1, len, stdout);
    else
        fputs(pem, stdout);
    free(bytes);
    free(pem);
    return r;
}

int command_crl(int argc, char **argv)
{
    const char *state = NULL;
    struct store *store;
    struct revocation_list l;
    struct root root;
    bool der = false;
    const struct arg table[] = {{"state", ARG_STRING, &state, "DIR|postgresql:FILE", "the CA's state", 0, 0, true},
                                {"der", ARG_FLAG, &der, NULL, "as bytes, not as PEM", 0, 0, false},
                                SEAL_ARG};
    int r = args_parse("weir-ca crl", "Prints the certificate revocation list (RFC 5280), signed now and good for an hour.", table,
                       ARRAY_SIZE(table), argc, argv, NULL);
    if (r < 0)
        return r == -ECANCELED ? 0 : 2;
    if (command_open_state(state, &store) < 0)
        return 1;
    r = command_open_root(store, &root);
    if (r == 0) {
        r = revocation_list_read(store, clock_unix_s(), &l);
        if (r < 0)
            fprintf(stderr, "weir-ca: %s\n", r == -E2BIG ? "more is revoked than a list can hold: whoever verifies by it would take the rest for good" : store_why(store));
        else
            r = print(&l, &root, der);
        revocation_list_done(&l);
        root_done(&root);
    }
    store_close(store);
    return r < 0 || fflush(stdout) != 0 ? 1 : 0;
}
