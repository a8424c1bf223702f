/* A row for people and programs; see the header. */
#include "ca/row.h"

#include <stdio.h>
#include <stdlib.h>

/* Without the unit, which is none any more once it is printed. */
struct text row_name(const struct store_row *row, size_t i)
{
    struct text name = text_of(row->names[i]);
    if (row->is_time[i])
        name.len -= 2;
    return name;
}

const char *row_value(const struct store_row *row, size_t i, char time[CLOCK_TEXT_MAX])
{
    return row->is_time[i] ? clock_print(strtoll(row->values[i], NULL, 10) * 1000, 0, time)
                           : row->values[i];
}

void row_put_json(struct json_out *o, const struct store_row *row)
{
    char name[64], time[CLOCK_TEXT_MAX];
    json_out_object(o, NULL);
    for (size_t i = 0; i < row->n; i++) {
        struct text t = row_name(row, i);
        snprintf(name, sizeof name, "%.*s", (int)t.len, t.data);
        json_out_string(o, name, row_value(row, i, time));
    }
    json_out_end(o);
}
