/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMSAFE_TESTS_PARITY_ABI_H
#define IMSAFE_TESTS_PARITY_ABI_H

#define PARITY_EVENTS  65536 /* a batch */
#define PARITY_THREADS 64    /* thread ids are taken modulo this */

#endif
