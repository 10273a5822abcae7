import CKernels

/// The scalar table with its matrix products, where nearly all time goes, on vector types.
let portableTable: ember_kernels = {
  var table = scalarTable
  table.multiply_q4 = { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    PortableMultiply.multiplyQ4(m, x, y, groups: first..<first + count)
  }
  table.multiply_q8 = { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    PortableMultiply.multiplyQ8(m, x, y, groups: first..<first + count)
  }
  table.multiply_q4n = { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    PortableMultiply.multiplyTwoLevel(.q4n, m, x, y, groups: first..<first + count)
  }
  table.multiply_q5 = { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    PortableMultiply.multiplyTwoLevel(.q5, m, x, y, groups: first..<first + count)
  }
  table.multiply_q6 = { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    PortableMultiply.multiplyTwoLevel(.q6, m, x, y, groups: first..<first + count)
  }
  table.multiply_f16 = { m, x, y, first, count in
    guard let x = x?.pointee else { return }
    PortableMultiply.multiplyHalves(m, x, y, groups: first..<first + count)
  }
  return table
}()
