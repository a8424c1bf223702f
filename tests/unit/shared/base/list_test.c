#include "tests/unit/shared/base/test.h"

struct item {
    int number;
    struct list link;
};

static void assert_numbers(struct list *head, const int *numbers, size_t n)
{
    size_t i = 0;
    list_for_each (node, head) {
        assert_true(i < n);
        assert_int_equal(container_of(node, struct item, link)->number, numbers[i]);
        i++;
    }
    assert_int_equal(i, n);
    /* And backwards. */
    for (struct list *node = head->prev; node != head; node = node->prev)
        assert_int_equal(container_of(node, struct item, link)->number, numbers[--i]);
    assert_int_equal(i, 0);
}

static void keeps_order(void **state)
{
    (void)state;
    struct list head;
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};

    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_pop_front(&head));
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    list_push_back(&head, &items[3].link);
    assert_numbers(&head, (int[]){0, 1, 2, 3}, 4);
    list_remove(&items[2].link);
    assert_true(list_empty(&items[2].link));
    list_remove(&items[2].link); /* twice is fine */
    assert_numbers(&head, (int[]){0, 1, 3}, 3);
    assert_ptr_equal(list_pop_front(&head), &items[0].link);
    assert_numbers(&head, (int[]){1, 3}, 2);
}

static void removes_while_walking(void **state)
{
    (void)state;
    struct list head;
    struct item items[4];

    list_init(&head);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_push_back(&head, &items[i].link);
    }
    list_for_each (node, &head) {
        if (container_of(node, struct item, link)->number % 2 == 0)
            list_remove(node);
    }
    assert_numbers(&head, (int[]){1, 3}, 2);
}

static void splices(void **state)
{
    (void)state;
    struct list a, b;
    struct item items[4];

    list_init(&a);
    list_init(&b);
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        list_push_back(i < 2 ? &a : &b, &items[i].link);
    }
    list_splice(&a, &b);
    assert_true(list_empty(&b));
    assert_numbers(&a, (int[]){0, 1, 2, 3}, 4);
    list_splice(&a, &b);
    assert_numbers(&a, (int[]){0, 1, 2, 3}, 4);
    list_splice(&b, &a);
    assert_true(list_empty(&a));
    assert_numbers(&b, (int[]){0, 1, 2, 3}, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(removes_while_walking),
        cmocka_unit_test(splices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
