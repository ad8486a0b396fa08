;; The one product that the engine is made of: y = x · wᵀ + bias, four numbers at a time.
;;
;; x has `rows` rows (an even number) and w `outs` rows (a multiple of four), each of
;; `depth` numbers (a multiple of four). All else is in bytes: where the arrays begin,
;; and how far apart their rows lie. Two rows of x meet four rows of w in each turn of
;; the inner loop, so that each number that is loaded is used two or four times; of the
;; eight sums of four lanes each, $p0 … $p3 belong to the first row of x, $q0 … $q3 to
;; the second one.
(module
  (import "engine" "memory" (memory 1))
  (func $product (export "product")
    (param $x i32) (param $w i32) (param $bias i32) (param $y i32)
    (param $rows i32) (param $outs i32) (param $depth i32)
    (param $xStride i32) (param $wStride i32) (param $yStride i32)
    (local $row i32) (local $left i32) (local $xRow i32) (local $yRow i32)
    (local $x0 i32) (local $x1 i32)
    (local $w0 i32) (local $w1 i32) (local $w2 i32) (local $w3 i32)
    (local $a v128) (local $b v128) (local $c v128)
    (local $p0 v128) (local $p1 v128) (local $p2 v128) (local $p3 v128)
    (local $q0 v128) (local $q1 v128) (local $q2 v128) (local $q3 v128)
    (loop $nextFourOuts
      (local.set $xRow (local.get $x))
      (local.set $yRow (local.get $y))
      (local.set $row (local.get $rows))
      (loop $nextTwoRows
        (local.set $x0 (local.get $xRow))
        (local.set $x1 (i32.add (local.get $x0) (local.get $xStride)))
        (local.set $w0 (local.get $w))
        (local.set $w1 (i32.add (local.get $w0) (local.get $wStride)))
        (local.set $w2 (i32.add (local.get $w1) (local.get $wStride)))
        (local.set $w3 (i32.add (local.get $w2) (local.get $wStride)))
        (local.set $p0 (f32x4.splat (f32.const 0)))
        (local.set $p1 (local.get $p0))
        (local.set $p2 (local.get $p0))
        (local.set $p3 (local.get $p0))
        (local.set $q0 (local.get $p0))
        (local.set $q1 (local.get $p0))
        (local.set $q2 (local.get $p0))
        (local.set $q3 (local.get $p0))
        (local.set $left (local.get $depth))
        (loop $nextFourNumbers
          (local.set $a (v128.load (local.get $x0)))
          (local.set $b (v128.load (local.get $x1)))
          (local.set $c (v128.load (local.get $w0)))
          (local.set $p0 (f32x4.add (local.get $p0) (f32x4.mul (local.get $a) (local.get $c))))
          (local.set $q0 (f32x4.add (local.get $q0) (f32x4.mul (local.get $b) (local.get $c))))
          (local.set $c (v128.load (local.get $w1)))
          (local.set $p1 (f32x4.add (local.get $p1) (f32x4.mul (local.get $a) (local.get $c))))
          (local.set $q1 (f32x4.add (local.get $q1) (f32x4.mul (local.get $b) (local.get $c))))
          (local.set $c (v128.load (local.get $w2)))
          (local.set $p2 (f32x4.add (local.get $p2) (f32x4.mul (local.get $a) (local.get $c))))
          (local.set $q2 (f32x4.add (local.get $q2) (f32x4.mul (local.get $b) (local.get $c))))
          (local.set $c (v128.load (local.get $w3)))
          (local.set $p3 (f32x4.add (local.get $p3) (f32x4.mul (local.get $a) (local.get $c))))
          (local.set $q3 (f32x4.add (local.get $q3) (f32x4.mul (local.get $b) (local.get $c))))
          (local.set $x0 (i32.add (local.get $x0) (i32.const 16)))
          (local.set $x1 (i32.add (local.get $x1) (i32.const 16)))
          (local.set $w0 (i32.add (local.get $w0) (i32.const 16)))
          (local.set $w1 (i32.add (local.get $w1) (i32.const 16)))
          (local.set $w2 (i32.add (local.get $w2) (i32.const 16)))
          (local.set $w3 (i32.add (local.get $w3) (i32.const 16)))
          (br_if $nextFourNumbers
            (local.tee $left (i32.sub (local.get $left) (i32.const 4)))))
        ;; Four sums of four lanes become one vector of four sums, in two steps: lanes
        ;; 0 and 2, 1 and 3 of two sums are added, then what is left of all four.
        (local.set $a (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
            (local.get $p0) (local.get $p1))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
            (local.get $p0) (local.get $p1))))
        (local.set $b (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
            (local.get $p2) (local.get $p3))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
            (local.get $p2) (local.get $p3))))
        (v128.store (local.get $yRow) (f32x4.add (v128.load (local.get $bias)) (f32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
            (local.get $a) (local.get $b))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
            (local.get $a) (local.get $b)))))
        (local.set $a (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
            (local.get $q0) (local.get $q1))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
            (local.get $q0) (local.get $q1))))
        (local.set $b (f32x4.add
          (i8x16.shuffle 0 1 2 3 16 17 18 19 4 5 6 7 20 21 22 23
            (local.get $q2) (local.get $q3))
          (i8x16.shuffle 8 9 10 11 24 25 26 27 12 13 14 15 28 29 30 31
            (local.get $q2) (local.get $q3))))
        (local.set $yRow (i32.add (local.get $yRow) (local.get $yStride)))
        (v128.store (local.get $yRow) (f32x4.add (v128.load (local.get $bias)) (f32x4.add
          (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
            (local.get $a) (local.get $b))
          (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
            (local.get $a) (local.get $b)))))
        (local.set $yRow (i32.add (local.get $yRow) (local.get $yStride)))
        (local.set $xRow (i32.add (i32.add (local.get $xRow) (local.get $xStride)) (local.get $xStride)))
        (br_if $nextTwoRows
          (local.tee $row (i32.sub (local.get $row) (i32.const 2)))))
      (local.set $w (i32.add (local.get $w) (i32.shl (local.get $wStride) (i32.const 2))))
      (local.set $bias (i32.add (local.get $bias) (i32.const 16)))
      (local.set $y (i32.add (local.get $y) (i32.const 16)))
      (br_if $nextFourOuts
        (local.tee $outs (i32.sub (local.get $outs) (i32.const 4)))))))
