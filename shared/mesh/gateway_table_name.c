#include "shared/mesh/gateway_table_name.h"

struct text gateway_table_name_of(enum gateway_table_kind kind, uint16_t port, const char *ns,
                                  const char *gateway, char out[static GATEWAY_TABLE_NAME_MAX])
{
    static const char *const words[] = {[GATEWAY_TABLE_REQUESTS] = "gateway",
                                        [GATEWAY_TABLE_PLAIN] = "gateway-tcp",
                                        [GATEWAY_TABLE_PASSED] = "gateway-passthrough",
                                        [GATEWAY_TABLE_ENDED] = "gateway-tls"};
    struct text_out o = {out, 0, GATEWAY_TABLE_NAME_MAX, false};
    text_printf(&o, "%s|%u||%s/%s", words[kind], port, ns, gateway);
    return (struct text){o.data, o.len};
}
