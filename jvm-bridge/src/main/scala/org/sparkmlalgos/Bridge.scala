package org.sparkmlalgos

/** What Python asks the bridge first. */
object Bridge {

  /** Version of the Python package the jar was built from. */
  def version: String = getClass.getPackage.getImplementationVersion
}
