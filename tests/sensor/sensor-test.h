/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What tests of the driver have in common. */
#ifndef IMSAFE_TESTS_SENSOR_TEST_H
#define IMSAFE_TESTS_SENSOR_TEST_H

#include "sensor/driver-check.h"
#include "../tap.h"

/* Skips all tests, with the reason, where the kernel or the privileges do not allow the driver; else it has to work. */
static inline void need_driver(void)
{
	struct driver_check check;
	struct errmsg err = { 0 };

	driver_check(&check);
	if (driver_missing(&check, &err) < 0)
		tap_skip_all(err.text);
	if (!check.find_vma)
		tap_skip_all("the kernel cannot look up where calls come from (it is older than 5.17)");
}

#endif
