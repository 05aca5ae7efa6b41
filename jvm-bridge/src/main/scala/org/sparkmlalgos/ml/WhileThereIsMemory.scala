package org.sparkmlalgos.ml

import java.lang.ref.SoftReference
import java.util.concurrent.ConcurrentHashMap

/** Values that are made once, and again after the JVM has given them up for want of memory. */
private final class WhileThereIsMemory[K, V <: AnyRef] {
  private val kept = new ConcurrentHashMap[K, SoftReference[V]]()

  def apply(key: K, make: => V): V = {
    var value = null.asInstanceOf[V]
    kept.compute(key, (_, known) => {
      if (known != null) value = known.get()
      if (value == null) { value = make; new SoftReference(value) } else known
    })
    value
  }
}
