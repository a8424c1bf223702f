/*
 * What weirctl shows: each view asks one path of a node proxy's admin socket and turns the JSON into rows (istioctl ztunnel-config's
 * columns). Pure but for nothing: JSON in, table out.
 */
#ifndef CONTROLLER_CTL_VIEWS_H
#define CONTROLLER_CTL_VIEWS_H
#include "controller/ctl/table.h"
#include "shared/json/json.h"

struct view {
    const char *name, *path, *list; /* list: the member that holds the items */
    const char *titles[TABLE_COLUMNS_MAX];
    size_t n_columns;
    void (*rows)(struct table *t, const struct json *item);
    bool of_controller; /* a controller's dump has the list, too */
};
extern const struct view views[];
extern const size_t n_views;
const struct view *view_find(const char *name); /* NULL: none; singular forms are understood */
/* ns NULL: all; only items whose "namespace" is ns. */
void view_table(const struct view *v, const struct json *answer, const char *ns, struct table *ret);
#endif
