extension ModelFile {
  /// 16 hexadecimal digits that change with the weights, the metadata or the tokenizer, whatever the
  /// file is called. From the checksums that opening has read: the weights are not touched.
  package var fingerprint: String {
    var text = "\(CRC32.checksum(metadata)) \(CRC32.checksum(tokenizer))\n"
    for tensor in tensors {
      text += "\(tensor.name) \(tensor.byteCount) \(tensor.checksum)\n"
    }
    return String(SHA256.hexadecimal(of: text).prefix(16))
  }
}
