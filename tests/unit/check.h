/* check.h: cmocka with what it wants included first. */
#ifndef WB_TEST_CHECK_H
#define WB_TEST_CHECK_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#endif
