/* SPDX-License-Identifier: ISC */
/*
 * Expands BED_ROW(id, name, result, nargs, text, kind1, name1, kind2, name2, ...) for every row of
 * calls.def. No include guard: included once per use.
 */
#define CALL0(id, name, r, text)                 BED_ROW(id, name, r, 0, text, )
#define CALL1(id, name, r, k1, n1, text)         BED_ROW(id, name, r, 1, text, k1, n1)
#define CALL2(id, name, r, k1, n1, k2, n2, text) BED_ROW(id, name, r, 2, text, k1, n1, k2, n2)
#define CALL3(id, name, r, k1, n1, k2, n2, k3, n3, text) \
	BED_ROW(id, name, r, 3, text, k1, n1, k2, n2, k3, n3)
#define CALL4(id, name, r, k1, n1, k2, n2, k3, n3, k4, n4, text) \
	BED_ROW(id, name, r, 4, text, k1, n1, k2, n2, k3, n3, k4, n4)
#define CALL5(id, name, r, k1, n1, k2, n2, k3, n3, k4, n4, k5, n5, text) \
	BED_ROW(id, name, r, 5, text, k1, n1, k2, n2, k3, n3, k4, n4, k5, n5)
#define CALL6(id, name, r, k1, n1, k2, n2, k3, n3, k4, n4, k5, n5, k6, n6, text) \
	BED_ROW(id, name, r, 6, text, k1, n1, k2, n2, k3, n3, k4, n4, k5, n5, k6, n6)
#define CALL10(id, name, r, k1, n1, k2, n2, k3, n3, k4, n4, k5, n5, k6, n6, k7, n7, k8, n8, k9,    \
    n9, k10, n10, text)                                                                            \
	BED_ROW(id, name, r, 10, text, k1, n1, k2, n2, k3, n3, k4, n4, k5, n5, k6, n6, k7, n7, k8, \
	    n8, k9, n9, k10, n10)
#include "calls.def"
#undef CALL0
#undef CALL1
#undef CALL2
#undef CALL3
#undef CALL4
#undef CALL5
#undef CALL6
#undef CALL10
