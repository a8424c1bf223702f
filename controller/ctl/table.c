/* Aligned columns; see the header. */
#include "controller/ctl/table.h"

#include "shared/json/json_out.h"
#include <stdio.h>
#include <stdlib.h>

void table_init(struct table *t, const char *const *titles, size_t n_columns)
{
    *t = (struct table){.n_columns = n_columns};
    for (size_t i = 0; i < n_columns; i++)
        table_cell(t, i, text_of(titles[i]));
}

void table_cell(struct table *t, size_t column, struct text value)
{
    if (t->failed)
        return;
    if (column == 0) {
        if (t->n_rows == t->rows_size) {
            size_t size = t->rows_size ? 2 * t->rows_size : 64;
            char **cells = reallocarray(t->cells, size * t->n_columns, sizeof *cells);
            if (!cells) {
                t->failed = true;
                return;
            }
            t->cells = cells;
            t->rows_size = size;
        }
        for (size_t i = 0; i < t->n_columns; i++)
            t->cells[t->n_rows * t->n_columns + i] = NULL;
        t->n_rows++;
    }
    char *copy = text_dup(value.len > 0 ? value : TEXT("-"));
    t->failed |= !copy;
    t->cells[(t->n_rows - 1) * t->n_columns + column] = copy;
}

static const char *cell(const struct table *t, size_t row, size_t column)
{
    const char *c = t->cells[row * t->n_columns + column];
    return c ? c : "-";
}

void table_print(const struct table *t, struct text_heap *out)
{
    size_t width[TABLE_COLUMNS_MAX] = {0};
    for (size_t r = 0; r < t->n_rows; r++)
        for (size_t c = 0; c < t->n_columns; c++)
            if (strlen(cell(t, r, c)) > width[c])
                width[c] = strlen(cell(t, r, c));
    for (size_t r = 0; r < t->n_rows; r++)
        for (size_t c = 0; c < t->n_columns; c++)
            if (c + 1 == t->n_columns)
                text_heap_printf(out, "%s\n", cell(t, r, c));
            else
                text_heap_printf(out, "%-*s   ", (int)width[c], cell(t, r, c));
    out->failed |= t->failed;
}

void table_json(const struct table *t, struct text_heap *out)
{
    struct json_out o;
    json_out_init(&o, out, true);
    json_out_array(&o, NULL);
    for (size_t r = 1; r < t->n_rows; r++) {
        json_out_object(&o, NULL);
        for (size_t c = 0; c < t->n_columns; c++) {
            char title[64];
            snprintf(title, sizeof title, "%s", cell(t, 0, c));
            for (char *p = title; *p; p++)
                *p = text_lower(*p);
            json_out_string(&o, title, cell(t, r, c));
        }
        json_out_end(&o);
    }
    json_out_end(&o);
    text_heap_puts(out, "\n");
    out->failed |= t->failed;
}

static int compare_rows(const void *a, const void *b, void *arg)
{
    const struct table *t = arg;
    char *const *x = a, *const *y = b;
    for (size_t c = 0; c < t->n_columns; c++) {
        int order = strcmp(x[c] ? x[c] : "", y[c] ? y[c] : "");
        if (order != 0)
            return order;
    }
    return 0;
}

void table_sort(struct table *t)
{
    if (t->n_rows > 2)
        qsort_r(t->cells + t->n_columns, t->n_rows - 1, t->n_columns * sizeof *t->cells, compare_rows, t);
}

void table_done(struct table *t)
{
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
        free(t->cells[i]);
    free(t->cells);
}
